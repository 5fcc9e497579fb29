"""Label bins, splits and the VTAB-1K folder, through the tasks."""

import ast
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from sparsebench.data.errors import DataError
from sparsebench.data.vision import vtab1k
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.prediction.data import Examples
from sparsebench.suites.prediction.task import PredictionTask
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, find
from sparsebench.suites.vtab.backbones import tiny


def task(name: str) -> PredictionTask:
    loaded = load_task(find("task", name, "vtab"))
    assert isinstance(loaded, PredictionTask)
    return loaded


def left_edge(part: Examples) -> np.ndarray:
    """Column of the first white pixel of each image."""
    return (np.asarray(part.inputs)[..., 0] > 0).any(axis=1).argmax(axis=1)


def test_location_bins_are_positions_from_left_to_right() -> None:
    part = task("dsprites_location").load().test
    assert np.unique(part.targets).tolist() == list(range(16))
    edges = [left_edge(Examples(np.asarray(part.inputs)[part.targets == label], part.targets)) for label in range(16)]
    means = [edge.mean() for edge in edges]
    assert np.all(np.diff(means) > 1.0), "a bin holds two positions, one pixel apart"


def test_orientation_bins_hold_three_and_two_of_the_forty_angles() -> None:
    part = task("dsprites_orientation").load().test
    counts = Counter(part.targets.tolist())
    assert set(counts) == set(range(16))
    even, odd = (sum(counts[label] for label in range(start, 16, 2)) for start in (0, 1))
    assert even / odd == pytest.approx(1.5, rel=0.2)


def test_both_dsprites_tasks_see_the_same_images() -> None:
    location, orientation = task("dsprites_location").load(), task("dsprites_orientation").load()
    assert np.array_equal(np.asarray(location.test.inputs), np.asarray(orientation.test.inputs))


@pytest.mark.parametrize("name", ["digits", "dsprites_location", "dsprites_orientation"])
def test_sizes_and_disjoint_parts(name: str) -> None:
    splits = task(name).load()
    assert (len(splits.train.targets), len(splits.val.targets)) == (800, 200)
    assert len(splits.test.targets) == (797 if name == "digits" else 2000)
    rows = [np.asarray(part.inputs).reshape(len(part.targets), -1) for part in (splits.train, splits.val, splits.test)]
    images = {bytes(row) for part in rows for row in part}
    assert len(images) > 0.9 * sum(map(len, rows)), "dSprites holds some images twice: symmetric sprites"


@pytest.mark.data
def test_fashion_mnist_sizes() -> None:
    splits = task("fashion_mnist").load()
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test)] == [800, 200, 2000]
    assert np.unique(splits.train.targets).tolist() == list(range(10))


def test_vtab1k_tasks_agree_with_the_reader() -> None:
    names = {name.removeprefix("vtab1k_"): entry for name, entry in entries("task", "vtab").items() if "1k_" in name}
    assert set(names) == set(vtab1k.CLASSES)
    for name, entry in names.items():
        loaded = task(entry.name)
        assert entry.sources == ("vtab-1k",)
        assert loaded.folder == name and loaded.target.outputs == vtab1k.CLASSES[name]
        assert name in vtab1k.GROUPS[loaded.group]


def test_captions_never_call_the_mini_suite_vtab_1k() -> None:
    for name, entry in entries("task", "vtab").items():
        assert ("VTAB-1K" in entry.caption) == name.startswith("vtab1k_")
        assert 0 < len(entry.caption) <= 90
        assert ast.get_docstring(ast.parse(entry.path.read_text()))


def write_folder(root: Path, sizes: dict[str, int]) -> None:
    rng = np.random.default_rng(0)
    for part, count in sizes.items():
        folder = root / "dsprites_loc" / "images" / part
        folder.mkdir(parents=True)
        for index in range(count):
            pixels = rng.integers(0, 256, size=(20 + index, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{index:06d}.jpg")
        lines = [f"images/{part}/{index:06d}.jpg {index % 16}" for index in range(count)]
        (root / "dsprites_loc" / f"{part}.txt").write_text("\n".join(lines) + "\n")


def test_vtab1k_folder_is_read_lazily_and_resized(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_folder(tmp_path, {"train800": 5, "val200": 3, "train800val200": 8, "test": 9})
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(tmp_path))
    context = Context(suite="vtab", task="vtab1k_dsprites_loc", seed=0, budget=Budget(test_examples=6, batch_size=4))
    data = task("vtab1k_dsprites_loc").setup(tiny.load, context).data
    assert [len(part) for part in (data.train, data.val, data.test)] == [5, 3, 6]
    inputs, targets = data.collate(list(data.test[4:6]))
    assert inputs.shape == (2, 3, 16, 16) and targets.tolist() == [4, 5]
    assert torch.isfinite(inputs).all()


def test_without_the_folder_the_error_names_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_VTAB1K", raising=False)
    with pytest.raises(DataError, match="SPARSEBENCH_VTAB1K"):
        task("vtab1k_svhn").load()
