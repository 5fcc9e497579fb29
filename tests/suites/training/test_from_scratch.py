from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.training.from_scratch import FromScratch

from .toy import Numbers, squared_error


@dataclass(frozen=True, kw_only=True)
class Net(FromScratch):
    warmup: float = 0.0

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        return backbone


def fitted(method: FromScratch, steps: int = 3) -> Any:
    context = Context(suite="s", task="t", seed=0, budget=Budget(steps=steps, batch_size=8), loss=squared_error)
    torch.manual_seed(0)
    model = nn.Linear(1, 1)
    method.fit(model, Numbers(), context)
    return model


def test_sgd_step_by_step() -> None:
    """v = 0.9 v + g + decay w and w = w - rate v, biases too, with the rate of the cosine at each step."""
    torch.manual_seed(0)
    model = nn.Linear(1, 1).double()
    w, b = model.weight.item(), model.bias.item()
    xs = [float(i) for i in range(8)]
    v = [0.0, 0.0]
    for rate in (0.01, 0.01, 0.005):
        errors = [w * x + b - 2 * x for x in xs]
        gradients = (sum(2 * e * x for e, x in zip(errors, xs, strict=True)) / 8, sum(2 * e for e in errors) / 8)
        v = [0.9 * old + g + 0.1 * p for old, g, p in zip(v, gradients, (w, b), strict=True)]
        w, b = w - rate * v[0], b - rate * v[1]
    made = fitted(Net(optimizer="sgd", learning_rate=0.01, weight_decay=0.1))
    assert (made.weight.item(), made.bias.item()) == pytest.approx((w, b), rel=1e-5)


def test_only_images_are_shifted() -> None:
    with pytest.raises(ValueError, match="these examples are none"):
        fitted(Net(augment=True))
