"""VTAB-1K from a folder: read, not there, or wrong."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k import images
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.prediction.data import sample_rows
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.vtab import community_folder
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.community_folder import FolderTask, LazyFolder, VTAB1KTask

from ...data.vision.vtab1k.kitti import write_kitti


def task(name: str) -> VTAB1KTask:
    loaded = load_task(find("task", name, "vtab"))
    assert isinstance(loaded, VTAB1KTask)
    return loaded


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(tmp_path / "vtab"))
    return write_kitti(tmp_path / "vtab")


def test_the_folder_is_read_lazily_and_resized(root: Path) -> None:
    context = Context(suite="vtab", task="vtab1k_kitti", seed=0, budget=Budget(test_examples=6, batch_size=4))
    data = task("vtab1k_kitti").setup(tiny.load, context).data
    assert [len(part) for part in (data.train, data.val, data.test)] == [800, 200, 6]
    inputs, targets = data.collate(list(data.test[4:6]))
    assert inputs.shape == (2, 3, 16, 16) and targets.tolist() == [0, 1]
    assert torch.isfinite(inputs).all()


def test_images_that_train_are_read_once(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train = task("vtab1k_kitti").load().train.inputs
    assert isinstance(train, LazyFolder) and len(train.kept() or ()) == 800
    monkeypatch.setattr(images, "read_rgb", lambda *_, **__: pytest.fail("an image is read"))
    kept, part = train.kept(), train[3:5].kept()
    assert kept is not None and part is not None and part[1] is kept[4]
    assert LazyFolder(train.images).kept() is None


def test_large_images_stay_as_the_network_takes_them(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All training images stayed in memory as they are: a thousand photographs of twelve megapixels are 36 GB."""
    body = tiny.load(torch.Generator().manual_seed(0))
    small = task("vtab1k_kitti").load().val.inputs
    monkeypatch.setattr(community_folder, "MOST_KEPT", 10_000)
    large = task("vtab1k_kitti").load().val.inputs
    assert isinstance(large, LazyFolder) and large.kept() is None
    expected = body.encode(small)
    found = body.encode(large)
    assert isinstance(found, list) and torch.equal(torch.stack(found), torch.stack(list(expected)))
    monkeypatch.setattr(images, "read_rgb", lambda *_, **__: pytest.fail("an image is read"))
    assert torch.equal(body.encode(large)[7], found[7]) and torch.equal(body.encode(large[5:9])[2], found[7])


@pytest.mark.parametrize("name", ["vtab1k_svhn", "vtab1k_published_svhn"])
def test_without_the_folder_the_reason_names_the_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_VTAB1K", raising=False)
    task(name).check_data()
    with pytest.raises(NotApplicable, match="set SPARSEBENCH_VTAB1K to it; expected"):
        task(name).load()


def test_a_folder_may_lack_tasks(root: Path) -> None:
    task("vtab1k_svhn").check_data()
    with pytest.raises(NotApplicable, match="has no folder svhn"):
        task("vtab1k_svhn").load()


def test_a_named_folder_that_is_not_there_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(tmp_path / "nowhere"))
    with pytest.raises(LocalFolderError, match="is no folder"):
        task("vtab1k_svhn").check_data()


@pytest.mark.parametrize("name", ["vtab1k_kitti", "vtab1k_published_kitti"])
def test_what_is_wrong_is_said_by_the_check(root: Path, name: str) -> None:
    task(name).check_data()
    broken = root / "kitti" / "images" / "test" / "000700.jpg"
    broken.write_bytes(b"no image")
    (root / "kitti" / "SHA256SUMS").unlink()
    with pytest.raises(LocalFolderError, match=r"000700\.jpg is no readable image"):
        task(name).check_data()


def test_images_of_the_user_s_own(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = load_task(find("task", "own_images", "vtab"))
    expected = ("accuracy", "val accuracy", "best-epoch accuracy", "adapter_std")
    assert isinstance(own, FolderTask) and own.metric_names == expected
    own.check_data()
    with pytest.raises(NotApplicable, match="set SPARSEBENCH_OWN_IMAGES to it"):
        own.load()
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(root / "kitti"))
    own.check_data()
    assert own.target.outputs == 4 and len(own.load().test.targets) == 711
    context = Context(suite="vtab", task="own_images", seed=0, budget=Budget(epochs=1, batch_size=64))
    outcome = own.run([LinearProbe(penalties=(0.1,))], tiny.load, context)
    assert outcome.metrics["accuracy"].n == 711 and outcome.metrics["accuracy"].value > 0.5
    assert outcome.details["protocol"]["rows"] == 1000
    assert outcome.details["own data"] == {"train": 800, "val": 200, "test": 711, "rejected": 0}, "as of other own data"
    whole = own.load().test
    rows = sample_rows(711, 6)
    assert rows != list(range(6)), "folders are read class by class"
    limited = replace(context, budget=Budget(epochs=1, batch_size=64, test_examples=6))
    data = own.setup(tiny.load, limited).data
    assert data.test.targets.tolist() == whole.targets[rows].tolist()
    expected = tiny.load(torch.Generator()).encode([whole.inputs[row] for row in rows])
    assert all(torch.equal(data.test[place][0], item) for place, item in enumerate(expected))
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(root))
    with pytest.raises(LocalFolderError, match=r"train800\.txt is missing"):
        own.check_data()
