"""CIFAR-10 from a folder, a zip, and the hub's files: one set of images in all layouts, and what is refused."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
from PIL import Image

from sparsebench.data.cache.ledger import reading
from sparsebench.data.errors import DownloadError, LocalFolderError, OfflineError
from sparsebench.data.sources import ensure
from sparsebench.data.vision.cifar10 import CLASSES, NAME, cifar10, cifar10_splits


def encoded(value: int, side: int = 32) -> bytes:
    file = io.BytesIO()
    pixels = np.full((side, side, 3), value, np.uint8)
    Image.fromarray(pixels).save(file, "png")
    return file.getvalue()


def folder_of(root: Path) -> Path:
    """Two images of each class in both parts, each in one colour: 10 times its class, and one more for the second."""
    for part in ("train", "test"):
        for label, kind in enumerate(CLASSES):
            (root / part / kind).mkdir(parents=True)
            for number in range(2):
                (root / part / kind / f"{number}.png").write_bytes(encoded(10 * label + number))
    return root


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "cifar10")


def parquet_of(root: Path, labels: list[int]) -> Path:
    (root / "plain_text").mkdir(parents=True)
    images = [{"bytes": encoded(10 * label), "path": None} for label in labels]
    table = pa.table({"img": images, "label": labels})
    for part in ("train", "test"):
        pyarrow.parquet.write_table(table, root / "plain_text" / f"{part}-00000-of-00001.parquet")
    return root


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    """The folder as a zip file."""
    place = tmp_path / "cifar10.zip"
    with zipfile.ZipFile(place, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    return place


def test_a_folder_and_its_zip_hold_the_same(folder: Path, packed: Path) -> None:
    for part in ("train", "test"):
        images, labels = cifar10(folder, part)
        assert images.shape == (20, 32, 32, 3) and images.dtype == np.uint8 and labels.dtype == np.int64
        assert images[:, 0, 0, 0].tolist() == [10 * (row // 2) + row % 2 for row in range(20)]
        assert labels.tolist() == [row // 2 for row in range(20)]
        from_zip = cifar10(packed, part)
        assert np.array_equal(images, from_zip.images) and np.array_equal(labels, from_zip.labels)


def test_the_files_of_the_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def snapshot(name: str, **options: Any) -> str:
        asked.append((name, options["repo_type"], options["local_files_only"]))
        return str(parquet_of(tmp_path / "hub", [9, *range(10)]))

    monkeypatch.delenv("SPARSEBENCH_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    images, labels = cifar10(None, "train")
    assert labels.tolist() == [9, *range(10)] and images[:, 0, 0, 0].tolist() == [90, *range(0, 100, 10)]
    assert asked == [(NAME, "dataset", False)]


@pytest.mark.parametrize(("forbidden", "error"), [("1", OfflineError), ("0", DownloadError)])
def test_no_hub(monkeypatch: pytest.MonkeyPatch, forbidden: str, error: type[Exception]) -> None:
    def snapshot(name: str, **options: Any) -> str:
        raise OSError("no\nroute")

    monkeypatch.setenv("SPARSEBENCH_OFFLINE", forbidden)
    monkeypatch.setattr("huggingface_hub.snapshot_download", snapshot)
    with pytest.raises(error, match=NAME):
        cifar10(None, "train")


def test_what_is_no_copy_of_it(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LocalFolderError, match="neither a folder nor a zip file"):
        cifar10(tmp_path / "nothing", "train")
    (folder / "test" / "frog" / "0.png").unlink()
    (folder / "test" / "frog" / "1.png").unlink()
    with pytest.raises(LocalFolderError, match="no image of 'frog' in its part test"):
        cifar10(folder, "test")
    with pytest.raises(ValueError, match="part is 'val'; parts: train, test"):
        cifar10(folder, "val")  # type: ignore[arg-type]


def test_images_that_are_none(folder: Path) -> None:
    broken = folder / "train" / "cat" / "0.png"
    broken.write_bytes(encoded(3)[:60])
    with pytest.raises(LocalFolderError, match=r"cat/0.png is no readable image"):
        cifar10(folder, "train")
    broken.write_bytes(encoded(3, side=64))
    with pytest.raises(LocalFolderError, match=r"cat/0.png has 64 x 64 pixels"):
        cifar10(folder, "train")


def test_suite_table_that_are_others(tmp_path: Path) -> None:
    with pytest.raises(LocalFolderError, match="row 1 has class 10"):
        cifar10(parquet_of(tmp_path / "classes", [0, 10]), "train")
    (tmp_path / "columns" / "plain_text").mkdir(parents=True)
    table = pa.table({"img": [{"bytes": b""}], "fine_label": [1]})
    pyarrow.parquet.write_table(table, tmp_path / "columns" / "plain_text" / "train-0.parquet")
    with pytest.raises(LocalFolderError, match="no column 'label'"):
        cifar10(tmp_path / "columns", "train")


def test_splits_of_the_copy_that_is_named(folder: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty images in twenty colours: parts share none, the test part is whole, folder and zip give the same."""
    found = []
    for copy, files in ((folder, 37), (packed, 1)):
        monkeypatch.setenv("SPARSEBENCH_CIFAR10", str(copy))
        with reading() as reads:
            parts = cifar10_splits(train=12, val=5)
        assert len(reads.files()) == files and {read.place for read in reads.files()} == {"cifar10"}
        found.append([part.images[:, 0, 0, 0].tolist() for part in parts])
        for part in parts:
            assert (part.images[:, 0, 0, 0] // 10).tolist() == part.labels.tolist()
    train, val, test = found[0]
    assert (len(train), len(val), len(test)) == (12, 5, 20) and len({*train, *val}) == 17
    assert train != sorted(train) and test != sorted(test) and found[1] == found[0]


def test_a_copy_that_is_too_small_or_not_there(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_CIFAR10", str(folder))
    with pytest.raises(LocalFolderError, match=r"has 20 training images, and 20 \+ 1 to train and"):
        cifar10_splits(train=20, val=1)
    (tmp_path / "a.txt").write_text("no zip")
    monkeypatch.setenv("SPARSEBENCH_CIFAR10", str(tmp_path / "a.txt"))
    with pytest.raises(LocalFolderError, match=r"a.txt' is neither a folder nor a zip file; expected: "):
        ensure("cifar10")
    monkeypatch.delenv("SPARSEBENCH_CIFAR10")
    with pytest.raises(LocalFolderError, match="set SPARSEBENCH_CIFAR10 to it; expected: "):
        cifar10_splits()
