"""Add four numbers, in a way that shows what other cells left behind in the process."""

import random
import threading
import warnings
from pathlib import Path
from typing import NamedTuple

import psutil
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


class StateSum(Task):
    """Mean squared error of a model that should add four numbers; the details name the state of the process."""

    version = "1"
    group = "toy"
    sources = ()

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """Inputs of shape (16, 4) and the backbone."""
        inputs = torch.randn(16, 4, generator=context.task_generator("inputs"), dtype=torch.float32)
        return Setup(model=load_backbone(context.generator("backbone")), data=inputs, context=context)

    def subject(self, model: nn.Module, setup: Setup) -> Adder:
        """The model and its inputs."""
        return Adder(model, setup.data)

    def evaluate(self, subject: Adder, context: Context) -> Scores:
        """The error, with a third of the default type and a draw of the global generators in it."""
        third = torch.tensor(1.0) / 3
        draws = torch.rand(()).double() + random.random()
        outputs = subject.model.float()(subject.inputs)[:, 0].double()
        errors = (outputs - subject.inputs.sum(dim=1).double()) ** 2 + third.double() + draws
        value = errors.mean().item()
        metric = Metric(value=value, stderr=None, n=16, higher_is_better=False, chance=None, unit="")
        return Scores("mse", {"mse": metric}, {"error": errors.tolist()}, {"state": state()})

    def cost_call(self, subject: Adder, context: Context) -> CostCall | None:
        """Nothing to measure."""
        return None


def state() -> dict[str, object]:
    """What a cell may change of its process, and the next one would see."""
    warned = len([one for one in warnings.filters if one[0] == "error"])
    return {
        "dtype": str(torch.get_default_dtype()),
        "grad": torch.is_grad_enabled(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "folder": str(Path.cwd()),
        "python threads": sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("left")),
        "children": [child.pid for child in psutil.Process().children() if child.name() == "sleep"],
        "warnings are errors": warned,
    }
