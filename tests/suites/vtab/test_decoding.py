"""A task's images decoded before its cells run: the same ones, at each network's size, or a reason in a line."""

import shutil
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from sparsebench.data.errors import DownloadError
from sparsebench.data.vision.vtab1k import images
from sparsebench.data.vision.vtab1k.decoded import DecodedImages, Form
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.vtab import decoding
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.community_folder import FolderTask
from sparsebench.suites.vtab.decoding import (
    check_space,
    decode_task,
    decoding_rate,
    form_of,
    missing_images,
    parts_of,
    reading_rate,
    waiting,
)

from ...data.vision.vtab1k.kitti import write_kitti


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Not to be changed."""
    return write_kitti(tmp_path_factory.mktemp("vtab"))


@pytest.fixture
def task(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FolderTask:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(built))
    found = load_task(find("task", "vtab1k_published_kitti", "vtab"))
    assert isinstance(found, FolderTask)
    return found


def inputs(task: FolderTask) -> list[Any]:
    data = task.setup(tiny.load, Context(suite="vtab", task="kitti", seed=0)).data
    return [data.train.inputs, data.val.inputs, data.test.inputs]


def test_a_network_gets_the_images_that_reading_would_give(task: FolderTask, monkeypatch: pytest.MonkeyPatch) -> None:
    before = [[part[row] for row in range(0, len(part), 50)] for part in inputs(task)]
    form = form_of(tiny.load(torch.Generator()))
    assert form == Form(size=16, interpolation="bicubic")
    parts = parts_of(task)
    assert missing_images(parts, form) == 2711
    assert decode_task(parts, form)[:2] == (2711, 2711) and decode_task(parts, form)[:2] == (2711, 0)
    assert missing_images(parts, form) == 0
    monkeypatch.setattr(images, "read_rgb", lambda *_, **__: pytest.fail("an image is read"))
    for old, new in zip(before, inputs(task), strict=True):
        assert isinstance(new, DecodedImages)
        assert torch.stack(old).equal(torch.stack(list(new[::50])))


class Free(NamedTuple):
    free: int


def test_a_disk_that_is_too_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    form = Form(size=224, interpolation="bicubic")
    needed = 2711 * 3 * 224 * 224
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Free(needed))
    assert check_space(2711, form) == needed
    monkeypatch.setattr(shutil, "disk_usage", lambda place: Free(needed - 1))
    with pytest.raises(DownloadError, match=r"at 224 pixels, the images take 0\.4 GB, .* or say --no-decode"):
        check_space(2711, form)


def test_reading_is_timed_and_waiting_reckoned(task: FolderTask, monkeypatch: pytest.MonkeyPatch) -> None:
    part, form = parts_of(task)[1], Form(size=8, interpolation="bicubic")
    assert reading_rate(part, form) is None
    decode_task([part], form)
    ticks = iter([10.0, 14.0, 20.0, 28.0])
    monkeypatch.setattr(decoding, "perf_counter", lambda: next(ticks))
    assert reading_rate(part, form, most=100) == 25
    assert decoding_rate(part, form, most=4) == 0.5
    assert waiting(300, 1200) == 0.75 and waiting(1200, 300) == 0
