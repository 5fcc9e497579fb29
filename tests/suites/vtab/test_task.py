"""Sizes and parts of the tasks, and the VTAB-1K folder, through the tasks."""

import ast

import numpy as np
import pytest
import torch

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision import vtab1k
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.prediction.task import PredictionTask
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries, find
from sparsebench.suites.vtab.backbones import tiny


def task(name: str) -> PredictionTask:
    loaded = load_task(find("task", name, "vtab"))
    assert isinstance(loaded, PredictionTask)
    return loaded


@pytest.mark.parametrize("name", ["digits", "dsprites_location", "dsprites_orientation", "wafers"])
def test_sizes_and_disjoint_parts(name: str) -> None:
    splits = task(name).load()
    assert (len(splits.train.targets), len(splits.val.targets)) == (800, 200)
    assert len(splits.test.targets) == (797 if name == "digits" else 2000)
    rows = [np.asarray(part.inputs).reshape(len(part.targets), -1) for part in (splits.train, splits.val, splits.test)]
    images = {bytes(row) for part in rows for row in part}
    assert len(images) > 0.9 * sum(map(len, rows)), "dSprites holds some images twice: symmetric sprites"


def test_all_sprites_begin_with_those_of_the_task_and_are_drawn_when_asked_for() -> None:
    few, all_of_them = task("dsprites_location").load(), task("dsprites_location_all_test").load()
    assert len(all_of_them.test.inputs) == len(all_of_them.test.targets) == 73_728
    assert np.array_equal(all_of_them.train.inputs, few.train.inputs)
    assert np.array_equal(all_of_them.val.targets, few.val.targets)
    assert np.array_equal(all_of_them.test.targets[:2000], few.test.targets)
    shown = all_of_them.test.inputs[:5]
    assert len(shown) == 5 and all(np.array_equal(shown[row], few.test.inputs[row]) for row in range(5))
    (encoded, *_) = tiny.load(torch.Generator()).encode(shown)
    assert torch.equal(encoded, tiny.load(torch.Generator()).encode(list(few.test.inputs[:1]))[0])


@pytest.mark.data
def test_all_test_images_of_what_is_fetched() -> None:
    for name, parts in (("fashion_mnist_all_test", [800, 200, 10_000]), ("textile", [800, 200, 1000])):
        splits = task(name).load()
        assert [len(part.targets) for part in (splits.train, splits.val, splits.test)] == parts
        assert np.unique(splits.test.targets).tolist() == list(range(task(name).target.outputs))


def test_cifar10_is_not_applicable_without_a_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_CIFAR10", raising=False)
    for name in ("cifar10", "cifar10_part", "cifar10_full"):
        task(name).check_data()  # type: ignore[attr-defined]
        with pytest.raises(NotApplicable, match="set SPARSEBENCH_CIFAR10 to it; expected: a folder or zip file with"):
            task(name).load()
    monkeypatch.setenv("SPARSEBENCH_CIFAR10", "/nothing")
    with pytest.raises(LocalFolderError, match="'/nothing' is neither a folder nor a zip file"):
        task("cifar10").check_data()  # type: ignore[attr-defined]


@pytest.mark.data
def test_fashion_mnist_sizes() -> None:
    splits = task("fashion_mnist").load()
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test)] == [800, 200, 2000]
    assert np.unique(splits.train.targets).tolist() == list(range(10))


@pytest.mark.data
def test_the_whole_of_fashion_mnist_has_no_image_twice_in_two_parts() -> None:
    splits = task("fashion_mnist_full").load()
    assert [len(part.targets) for part in (splits.train, splits.val, splits.test)] == [55_000, 5_000, 10_000]
    train, val = ({image.tobytes() for image in part.inputs} for part in (splits.train, splits.val))
    assert len(train & val) < 10, "the published training part itself holds a few images twice"


def test_vtab1k_tasks_agree_with_the_reader() -> None:
    known = entries("task", "vtab").items()
    names = {name.removeprefix("vtab1k_"): entry for name, entry in known if name.startswith("vtab1k_")}
    names = {name: entry for name, entry in names.items() if not name.startswith("published_")}
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
