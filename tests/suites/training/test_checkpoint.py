"""Training goes on where it was killed, bit by bit, in a folder that is its own."""

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sparsebench.suites.training.checkpoint import (
    Checkpoints,
    OtherTrainingError,
    check_plain,
    load_model_state,
    model_state,
    newest,
)
from sparsebench.suites.training.processes import Processes

HERE = Processes(torch.device("cpu"))


@pytest.mark.parametrize("name", ["single", "pair", "stages"])
def test_a_killed_training_gives_what_it_would_have_given(forked: dict[str, Any], name: str) -> None:
    assert forked["codes"][f"{name} killed"] == -signal.SIGKILL and f"{name} killed" not in forked
    whole, resumed = forked[f"{name} whole"], forked[f"{name} resumed"]
    assert resumed["weights"] == whole["weights"]
    assert resumed.get("curves") == whole.get("curves")
    assert resumed.get("mixture") == whole.get("mixture")


def test_killed_in_its_second_stage_a_training_goes_on_there(forked: dict[str, Any]) -> None:
    assert forked["stages whole"]["taken"] == {"head": 8, "all": 8}
    assert forked["stages resumed"]["taken"] == {"head": 0, "all": 4}, "the checkpoint before the kill is of step 4"


def test_killed_after_the_last_step_of_a_stage_the_next_one_starts_as_it_would_have(forked: dict[str, Any]) -> None:
    assert forked["codes"]["stages killed at the end"] == -signal.SIGKILL
    resumed = forked["stages killed at the end and resumed"]
    assert resumed["taken"] == {"head": 0, "all": 8}
    whole = forked["stages whole"]
    assert resumed["weights"] == whole["weights"] and resumed["mixture"] == whole["mixture"]


def test_a_folder_belongs_to_one_training(tmp_path: Path) -> None:
    identity = {"settings": {"steps": 3, "clip": None}, "data": "moses"}
    Checkpoints(tmp_path, identity, HERE)
    Checkpoints(tmp_path, identity, HERE)
    with pytest.raises(OtherTrainingError, match=r"data is moses there and mine now.*another folder, or remove it"):
        Checkpoints(tmp_path, {**identity, "data": "mine"}, HERE)
    with pytest.raises(OtherTrainingError, match="settings steps is 3 there and 4 now"):
        Checkpoints(tmp_path, {**identity, "settings": {"steps": 4, "clip": None}}, HERE)


def test_the_newest_whole_checkpoint_counts_and_older_ones_go(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, {}, HERE)
    assert checkpoints.load() is None and newest(tmp_path) is None and newest(tmp_path / "none") is None
    for step in (9, 10):
        checkpoints.save(step, {"x": torch.tensor(step)}, {"y": step})
    (tmp_path / "partial-step-000000011").mkdir()  # a kill in the middle of writing leaves this behind
    found = checkpoints.load()
    assert found == ({"x": torch.tensor(10)}, {"y": 10})
    checkpoints.save(10, {"x": torch.tensor(0)}, {"y": 0}, end=True)
    assert checkpoints.load() == ({"x": torch.tensor(0)}, {"y": 0})
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["step-000000010-end"]


@pytest.mark.parametrize("how", ["cut", "gone", "changed", "digest cut", "no digests"])
def test_a_broken_checkpoint_is_none(tmp_path: Path, how: str) -> None:
    """A machine that loses power may keep the name of a file and not its content."""
    checkpoints = Checkpoints(tmp_path, {}, HERE)
    checkpoints.save(5, {"x": torch.tensor(5)}, {"y": 5})
    place = tmp_path / "step-000000005"
    file = place / "models.pt"
    content = file.read_bytes()
    if how == "gone":
        file.unlink()
    elif how == "digest cut":
        (place / "models.sha256").write_text("")
    elif how == "no digests":
        for digest in place.glob("*.sha256"):
            digest.unlink()
    else:
        file.write_bytes(content[:-40] if how == "cut" else content[:200] + b"!" + content[201:])
    with pytest.warns(UserWarning, match="is broken .*: the training starts again"):
        assert checkpoints.load() is None
    checkpoints.save(5, {"x": torch.tensor(6)}, {"y": 6})
    assert checkpoints.load() == ({"x": torch.tensor(6)}, {"y": 6})


def test_all_that_a_model_remembers_is_kept() -> None:
    class Hidden(nn.BatchNorm1d):
        def __init__(self) -> None:
            super().__init__(2)
            self.register_buffer("seen", torch.zeros(2), persistent=False)
            self.draws = torch.Generator().manual_seed(0)

    model, other = Hidden(), Hidden()
    torch.rand(3, generator=model.draws)
    model.seen += 3
    model.running_mean += 1
    load_model_state(other, model_state(model))
    assert torch.equal(other.seen, model.seen) and torch.equal(other.running_mean, model.running_mean)
    assert torch.rand((), generator=other.draws) == torch.rand((), generator=model.draws)


def test_what_could_not_be_read_back_is_refused() -> None:
    check_plain({"a": [1, (2.0, None)], "b": torch.ones(1)}, "x")
    for value in (np.ones(1), np.float64(1), object()):
        with pytest.raises(TypeError, match=r"the state_dict\(\) of Mover holds"):
            check_plain({"a": [value]}, "Mover")
