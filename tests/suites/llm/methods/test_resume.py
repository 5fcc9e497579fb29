"""A mixture that trains goes on after `kill -9` bit by bit, and on another number of processes with the same data."""

import json
import signal
from typing import Any

import pytest
import torch

from ....gloo import run_program


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trainings of `resumed.py` gave."""
    folder = tmp_path_factory.mktemp("resumed")
    run_program("tests.suites.llm.methods.resumed", folder, 480)
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_killed_mixture_goes_on_bit_by_bit(found: dict[str, Any], dtype: torch.dtype) -> None:
    """Routing noise, balance loss, packed rows, accumulation; bfloat16 under autocast."""
    assert found[f"{dtype} killed code"] == -signal.SIGKILL and f"{dtype} killed" not in found
    whole, resumed = found[f"{dtype} whole"], found[f"{dtype} resumed"]
    assert whole["steps"] == 8 and len(whole["curves"]["train loss"]) == 8
    assert resumed == whole


def test_two_then_one_then_two_processes_see_the_same_data(found: dict[str, Any]) -> None:
    """Killed in step 3 of two and in step 5 of one: each goes on from the checkpoint of an even step."""
    assert found["first code"] == [-signal.SIGKILL] * 2 and found["second code"] == -signal.SIGKILL
    whole, third = found["two"], found["third"]
    rows = [sorted(one + other) for one, other in zip(whole[0]["seen"], whole[1]["seen"], strict=True)]
    assert len(rows) == 8 and len({tuple(row) for row in rows}) == 8
    assert [sorted(one + other) for one, other in zip(third[0]["seen"], third[1]["seen"], strict=True)] == rows[4:]
    assert third[0]["tokens"] == whole[0]["tokens"]


def test_two_then_one_then_two_processes_give_the_same_model_to_rounding(found: dict[str, Any]) -> None:
    whole, third = found["two"][0], found["third"]
    assert third[0]["weights"] == third[1]["weights"]
    # Nats near 5 in float32, after steps that Adam makes as large for a small gradient as for a large one.
    for (step, loss), (other_step, other) in zip(whole["losses"], third[0]["losses"], strict=True):
        assert step == other_step and loss == pytest.approx(other, abs=1e-4)
    distance = (torch.tensor(whole["weights"]) - torch.tensor(third[0]["weights"])).abs().max()
    assert distance < 1e-4
