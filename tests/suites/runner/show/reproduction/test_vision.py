"""VTAB-1K in one command, with weights in the official layout; and what is said before it runs."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.show.reproduction.vision import Supply, decode_images, reckon, waiting_lines
from sparsebench.suites.vtab.pace import Pace

from .....data.vision.vtab1k.kitti import write_kitti
from ....vtab.test_official_npz import official
from ...cells import planned_cells
from ...conftest import Bench

TASK = "vtab1k_published_kitti"


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A folder of the official sizes, and timm's smallest ViT in the layout of `B_16.npz`."""
    found = Bench(tmp_path)
    write_kitti(tmp_path / "vtab")
    torch.manual_seed(0)
    arrays: Any = official(timm.create_model("test_vit"))
    np.savez(tmp_path / "weights.npz", **arrays)
    found.environment["SPARSEBENCH_CACHE"] = str(tmp_path / "cache")
    return found


@pytest.mark.timeout(900)
def test_weights_and_a_folder_give_the_table(bench: Bench) -> None:
    row = ("--task", "kitti", "--method", "BitFit", "--seeds", "1", "--set", "budget.steps=1", "--workers", "1")
    folders = ("--data", str(bench.folder / "vtab"), "--out", str(bench.out))
    weights = ("--weights", str(bench.folder / "weights.npz"), "--network", "test_vit:32")
    done = bench.call("reproduce", "vtab", *weights, *folders, *row, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{TASK}: 2,711 images, 2,711 decoded now, " in done.stderr
    lines = done.stdout.splitlines()
    starts = [number for number, line in enumerate(lines) if line.split()[:2] == ["paper", "bitfit"]]
    assert lines[starts[0] + 1].split()[:3] == ["another", "model", "bitfit"]
    assert any(line.split()[:3] == ["another", "model", "BitFit"] for line in lines), "as the other source calls it"
    assert "not as in the paper:" in lines and "ANOTHER MODEL" in lines[0]
    assert not any("dsprites" in line for line in lines), "columns without a score of ours"
    (record,) = [json.loads(path.read_text()) for path in (bench.out / "records").glob("*.json")]
    assert record["metrics"]["accuracy"]["n"] == 711
    assert record["details"]["protocol"]["inputs"].startswith("32 x 32, ")


def test_hours_follow_from_steps_that_are_timed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(write_kitti(tmp_path / "vtab")))
    cells = planned_cells("vtab", "linear_probe", "bitfit", task=TASK, backbone="tiny", seeds=2, test_examples=8)
    said: list[str] = []
    decode_images(cells, 1, said.append)
    assert said[1].startswith(f"{TASK}: 2,000 images, 2,000 decoded now, "), "no test images: a part of them is scored"
    said.clear()
    reckon(cells, 3, "cpu", said.append)
    assert said[0].startswith("linear_probe: no steps, ")
    assert "steps of 4" in said[1] and said[1].partition("forward pass; ")[2].startswith("3 trials and 1 training ")
    assert "× 1 tasks × 2 seeds = " in said[1]
    assert "reckoned from these steps" in said[2] and "from 3 processes that decode, " in said[3]


def test_a_device_waits_for_what_comes_slower_than_it_works() -> None:
    pace = Pace(step=None, forward=0.01, flops=1e9, images=4, trials=5)
    shown, here, there = waiting_lines(Supply(decoded=25.0, read=5000.0), 8, pace, "cpu")
    assert shown == "images a second: 25 from 8 processes that decode, 5,000 from the decoded images"
    assert here.startswith("cpu, as measured, takes 100 ") and "75% of its time for 8 processes that decode, 0%" in here
    assert "takes 395,600 " in there and "99% of its time for the decoded images" in there
    assert "decoded images" not in "".join(waiting_lines(Supply(decoded=25.0), 8, pace, "cpu"))


def test_a_task_that_the_folder_lacks_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(tmp_path))
    cells = planned_cells("vtab", "linear_probe", task="vtab1k_published_svhn", backbone="tiny")
    said: list[str] = []
    decode_images(cells, 1, said.append)
    lacks = f"vtab1k_published_svhn: {tmp_path} has no folder svhn"
    assert said == [lacks]
    with pytest.raises(UsageError, match="no row of this table could be timed"):
        reckon(cells, 1, "cpu", said.append)
    assert said == [lacks, lacks]
