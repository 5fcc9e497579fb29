"""Two processes train as one, on the same rows."""

import signal
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.suites.training import processes
from sparsebench.suites.training.processes import Processes

from .balanced import BALANCES


def distance(one: dict[str, Any], other: dict[str, Any]) -> float:
    return float((torch.tensor(one["weights"]) - torch.tensor(other["weights"])).abs().max())


@pytest.mark.parametrize("name", ["two whole", "two resumed", "two accumulated"])
def test_two_processes_give_what_one_gives(forked: dict[str, Any], name: str) -> None:
    """Unequal numbers of tokens, a clipped gradient, and an expert that one process has no example for."""
    one = forked["one process"]
    first, second = forked[name]
    assert first["weights"] == second["weights"]
    assert distance(first, one) < 1e-5 and first["tokens"] == one["tokens"]
    assert first["losses"] == [[step, pytest.approx(loss, rel=1e-5)] for step, loss in one["losses"]]


def test_two_killed_processes_go_on_bit_by_bit(forked: dict[str, Any]) -> None:
    assert forked["codes"]["two killed"] == [-signal.SIGKILL, -signal.SIGKILL]
    assert forked["two resumed"] == forked["two whole"]


def test_one_process_is_alone() -> None:
    here = Processes(torch.device("cpu"))
    assert here.sum([1.0, 2.0]) == [1.0, 2.0] and here.from_main("x") == "x" and here.main
    layer = nn.Linear(1, 1)
    here.sum_gradients(list(layer.parameters()))
    assert layer.weight.grad is None


def test_gradients_travel_in_buckets_of_one_type(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BUCKET", 10)
    gradients = [torch.zeros(size, dtype=dtype) for size, dtype in ((6, torch.float32), (4, torch.float32))]
    gradients += [torch.zeros(1), torch.zeros(2, dtype=torch.float64), torch.zeros(30, dtype=torch.float64)]
    buckets = processes._buckets(gradients)
    assert [[gradient.numel() for gradient in bucket] for bucket in buckets] == [[6, 4], [1], [2], [30]]


@pytest.mark.parametrize("rows", ["balanced", "emptied"])
@pytest.mark.parametrize("name", BALANCES)
def test_two_processes_balance_as_one_does(name: str, rows: str, forked: dict[str, Any]) -> None:
    """Twenty steps of the same rows, of which each process has an unequal number: losses, weights and biases.

    "emptied": one has no real row at all. Its mean over nothing is NaN, and the other waits for its backward pass.
    """
    assert forked["codes"][f"two {rows} {name}"] == [0, 0]
    one = forked[f"{rows} {name}"]
    first, second = forked[f"two {rows} {name}"]
    assert first == second
    assert len(one["task"]) == 20
    torch.testing.assert_close(torch.tensor(first["task"]), torch.tensor(one["task"]), rtol=1e-5, atol=1e-9)
    assert first["balance"] == pytest.approx(one["balance"], rel=1e-9)
    for key, value in one["state"].items():
        found = torch.tensor(first["state"][key], dtype=torch.float64)
        expected = torch.tensor(value, dtype=torch.float64)
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12, msg=key)
    if name == "bias":
        assert any(one["state"]["router.choice_bias.value"])
