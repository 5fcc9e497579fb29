"""The builder writes what the reader reads, from where the official pipeline takes it."""

import hashlib
import io
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import LocalFolderError, UnknownSource
from sparsebench.data.vision.vtab1k import CLASSES, TEST_SIZES, vtab1k
from sparsebench.data.vision.vtab1k.builder import PLACES, build_task, jpeg, rows_of, seal_task

from .kitti import splits


class Rows:
    """A split of a size, whose rows are their numbers."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, number: int) -> int:
        return number


SIZES = {
    "cifar": {"train": 50_000, "test": 10_000},
    "svhn": {"train": 73_257, "test": 26_032},
    "eurosat": {"train": 27_000},
    "resisc45": {"train": 31_500},
    "clevr_dist": {"train": 70_000, "validation": 15_000},
    "dsprites_ori": {"train": 737_280},
    "smallnorb_azi": {"train": 24_300, "test": 24_300},
    "caltech101": {"train": 3_060, "test": 6_084},
    "oxford_iiit_pet": {"train": 3_680, "test": 3_669},
}


@pytest.mark.parametrize("task", SIZES)
def test_rows_come_from_where_the_official_pipeline_takes_them(task: str):
    data = {name: Rows(size) for name, size in SIZES[task].items()}
    parts = rows_of(task, data)  # type: ignore[arg-type]
    places = {name: [(id(split), row) for split, row in rows] for name, rows in parts.items()}
    assert [row for _, row in places["train800"]] == list(range(800))
    assert places["train800val200"] == places["train800"] + places["val200"]
    assert [len(set(rows)) for rows in places.values()] == [800, 200, 1000, TEST_SIZES[task]]
    assert not set(places["train800val200"]) & set(places["test"])
    last, row = places["test"][-1]
    assert row == SIZES[task][PLACES[task].test.split] - 1, "the test part is whole"
    assert last in {id(split) for split in data.values()}


def test_every_task_has_its_places():
    assert set(PLACES) == set(CLASSES)


def test_a_built_folder_is_read_and_sealed(built: Path):
    task = vtab1k("kitti", built)
    assert Counter(task.train800.labels) == {label: 200 for label in range(4)}
    original = splits()["test"][5]["image"]
    assert np.abs(task.test[5][0].astype(int) - original).mean() < 40, "JPEG of noise, but this image"
    assert task.test.files[5].read_bytes() == jpeg(original)
    sums = (built / "kitti" / "SHA256SUMS").read_text().splitlines()
    assert len(sums) == 4 + 800 + 200 + 1000 + 711
    for line in sums[::400]:
        digest, name = line.split("  ")
        assert hashlib.sha256((built / "kitti" / name).read_bytes()).hexdigest() == digest


def test_sealing_a_copy_that_is_there(root: Path, built: Path):
    assert [len(part) for part in seal_task("kitti", root)] == [800, 200, 1000, 711]
    assert (root / "kitti" / "SHA256SUMS").read_text() == (built / "kitti" / "SHA256SUMS").read_text()


def test_images_of_every_form():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    expected = jpeg(grey)
    assert jpeg(grey[..., None]) == jpeg(Image.fromarray(grey)) == expected
    png = io.BytesIO()
    Image.fromarray(grey).save(png, "PNG")
    assert jpeg(png.getvalue()) == expected
    sprite = (grey > 31).astype(np.uint8)
    assert jpeg(sprite, scale=255) == jpeg(sprite * 255, scale=255) == jpeg(sprite * 255)
    with pytest.raises(LocalFolderError, match="not float32"):
        jpeg(grey.astype(np.float32))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.pop("validation"), "needs the split 'validation', but there is train, test"),
        (lambda data: data["train"].pop(), "needs 800 rows of the split 'train', but it has 799"),
        (lambda data: data["test"][3].pop("image"), "kitti, test, row 3: there is no 'image'"),
        (lambda data: data["test"][3]["objects"].pop("type"), "kitti, test, row 3: an example of kitti has no 'type'"),
        (lambda data: data["validation"].__setitem__(4, data["train"][4]), "overlap in 1 images"),
    ],
)
def test_nothing_is_left_behind_of_bad_data(tmp_path: Path, change, message: str):
    data = splits(side=4)
    change(data)
    with pytest.raises(LocalFolderError, match=message):
        build_task("kitti", data, tmp_path / "vtab")
    assert not list((tmp_path / "vtab").glob("*")) and not list((tmp_path / "vtab").glob(".*"))


def test_refusals(built: Path):
    with pytest.raises(LocalFolderError, match="kitti is there already"):
        build_task("kitti", splits(side=4), built)
    with pytest.raises(UnknownSource, match="did you mean kitti"):
        build_task("kity", {}, built)
