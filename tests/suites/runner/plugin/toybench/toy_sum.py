"""Add four numbers."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.contracts.task import CostCall, LoadBackbone, Setup, Task


class Adder(NamedTuple):
    """A model and what it should add."""

    model: nn.Module
    inputs: Tensor


class ToySum(Task):
    """Mean squared error of a model that should add four numbers."""

    version = "1"
    group = "toy"
    sources = ()

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Inputs of shape (16, 4) and the backbone."""
        inputs = torch.randn(16, 4, generator=context.task_generator("inputs"))
        return Setup(model=load_backbone(context.generator("backbone")), data=inputs, context=context)

    def subject(self, model: nn.Module, setup: Setup) -> Adder:
        """The model and its inputs."""
        return Adder(model, setup.data)

    def evaluate(self, subject: Adder, context: Context) -> Scores:
        """Evaluate once."""
        with torch.no_grad():
            errors = (subject.model(subject.inputs)[:, 0] - subject.inputs.sum(dim=1)) ** 2
        metric = Metric(value=errors.mean().item(), stderr=None, n=16, higher_is_better=False, chance=None, unit="")
        return Scores("mse", {"mse": metric}, {"mse": errors.tolist()})

    def cost_call(self, subject: Adder, context: Context) -> CostCall | None:
        """Nothing to measure."""
        return None
