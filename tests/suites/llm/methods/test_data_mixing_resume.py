"""A mixture goes on after `kill -9` bit by bit, and on another number of processes with the same draws."""

import json
import signal
from typing import Any

import pytest
import torch

from ....gloo import run_program

WEIGHTS = [f"mixing weight {name}" for name in ("forwards", "onwards", "backwards")]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the trainings of `mixed.py` gave."""
    folder = tmp_path_factory.mktemp("mixed")
    run_program("tests.suites.llm.methods.mixed", folder, 480)
    return json.loads((folder / "found.json").read_text())


def trained_on(run: dict[str, Any], steps: int = 10) -> list[str]:
    """The rows of the last steps, in order, without what was read to measure."""
    flat: list[str] = []
    for batch in run["seen"]:
        flat += batch
    return flat[-4 * steps :]


@pytest.mark.parametrize("kind", ["v1", "stock"])
def test_a_killed_mixture_goes_on_bit_by_bit(found: dict[str, Any], kind: str) -> None:
    """Killed after step 7, whose checkpoint is that of step 6, where the weights moved for the second time."""
    assert found[f"{kind} killed code"] == -signal.SIGKILL and f"{kind} killed" not in found
    whole, resumed = found[f"{kind} whole"], found[f"{kind} resumed"]
    assert resumed["digest"] == whole["digest"] and resumed["curves"] == whole["curves"]
    assert trained_on(resumed, 4) == trained_on(whole)[-16:]
    moved = [[value for _, value in whole["curves"][name]] for name in WEIGHTS]
    assert [len(values) for values in moved] == [4, 4, 4] and moved[0][0] != moved[0][1] != moved[0][2] != moved[0][3]


def test_two_then_one_then_two_processes_draw_the_same(found: dict[str, Any]) -> None:
    """Killed in step 3 of two and in step 7 of one: each goes on from the checkpoint of an even step."""
    assert found["first code"] == [-signal.SIGKILL] * 2 and found["second code"] == -signal.SIGKILL
    whole, third = found["two"], found["third"]
    assert trained_on(whole[0]) == trained_on(whole[1]) == trained_on(found["one"])
    assert trained_on(third[0], 4) == trained_on(third[1], 4) == trained_on(whole[0])[-16:]


@pytest.mark.parametrize("name", ["one", "third"])
def test_any_number_of_processes_gives_the_same_training_to_rounding(found: dict[str, Any], name: str) -> None:
    """Gate loads, held-out losses and weights are those of all processes together."""
    whole, other = found["two"], found[name]
    if name == "third":
        assert other[0]["weights"] == other[1]["weights"] and other[0]["curves"] == other[1]["curves"]
        other = other[0]
    assert whole[0]["curves"] == whole[1]["curves"]
    for curve, points in whole[0]["curves"].items():
        if curve == "router balance loss":  # of a batch, not of a step
            continue
        expected = torch.tensor(points, dtype=torch.float64)
        actual = torch.tensor(other["curves"][curve], dtype=torch.float64)
        torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5, msg=curve)
    distance = (torch.tensor(whole[0]["weights"]) - torch.tensor(other["weights"])).abs().max()
    assert distance < 1e-4
