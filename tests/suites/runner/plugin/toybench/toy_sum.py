"""Add four numbers."""

import torch

from sparsebench.reports.record import Metric
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.task import LoadBackbone, Outcome, Setup, Task


class ToySum(Task):
    """Mean squared error of a model that should add four numbers."""

    version = "1"
    group = "toy"
    sources = ()

    def setup(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Inputs of shape (16, 4) and the backbone."""
        inputs = torch.randn(16, 4, generator=context.task_generator("inputs"))
        return Setup(model=load_backbone(context.generator("backbone")), data=inputs, context=context)

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """Evaluate once."""
        setup = self.setup(load_backbone, context)
        model = method.prepare(setup.model, context)
        errors = (model(setup.data)[:, 0] - setup.data.sum(dim=1)) ** 2
        metric = Metric(value=errors.mean().item(), stderr=None, n=16, higher_is_better=False, chance=None, unit="")
        return Outcome(metrics={"mse": metric}, main_metric="mse", examples={"error": errors.tolist()})
