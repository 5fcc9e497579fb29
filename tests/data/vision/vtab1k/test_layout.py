"""The folder of the community: read as it is, refused where it is not VTAB-1K."""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from sparsebench.data.errors import ChecksumError, LocalFolderError, UnknownSource
from sparsebench.data.vision.vtab1k import own_images, vtab1k


def test_reads_the_layout(root: Path):
    task = vtab1k("kitti", root)
    assert (task.name, task.classes) == ("kitti", 4)
    assert [len(part) for part in (task.train800, task.val200, task.train800val200, task.test)] == [800, 200, 1000, 711]
    assert task.test.labels[:5] == (0, 1, 2, 3, 0)
    pixels, label = task.test[3]
    assert pixels.shape == (10, 12, 3) and pixels.dtype == np.uint8 and label == 3


def test_root_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(root))
    assert len(vtab1k("kitti").test) == 711
    monkeypatch.delenv("SPARSEBENCH_VTAB1K")
    with pytest.raises(LocalFolderError, match="set SPARSEBENCH_VTAB1K"):
        vtab1k("kitti")


def test_unknown_task(root: Path):
    with pytest.raises(UnknownSource, match="unknown VTAB-1K task 'kitty'; did you mean kitti"):
        vtab1k("kitty", root)


def test_root_that_is_no_folder(root: Path):
    with pytest.raises(LocalFolderError, match=r"nowhere' is no folder; expected: <folder>/<task>/images"):
        vtab1k("kitti", root / "nowhere")


def test_missing_list(root: Path):
    with pytest.raises(LocalFolderError, match=re.escape(str(root / "cifar" / "train800.txt")) + " is missing"):
        vtab1k("cifar", root)


def test_missing_image(root: Path):
    (root / "kitti" / "images" / "test" / "000001.jpg").unlink()
    with pytest.raises(LocalFolderError, match=r"1 of 711 images are missing, first .*000001\.jpg"):
        vtab1k("kitti", root)


@pytest.mark.parametrize(
    "line",
    ["images/test/000000.jpg", "images/test/000000.jpg x", "images/test/000000.jpg 4", "images/test/000000.jpg -1", ""],
)
def test_malformed_line(root: Path, line: str):
    (root / "kitti" / "test.txt").write_text(f"images/test/000000.jpg 1\n{line}\n")
    with pytest.raises(LocalFolderError, match=r"test\.txt, line 2: .* label < 4"):
        vtab1k("kitti", root)


@pytest.mark.parametrize("name", ["../other/a.jpg", "/etc/hostname"])
def test_a_path_must_lie_in_the_folder(root: Path, name: str):
    (root / "kitti" / "test.txt").write_text(f"{name} 1\n")
    with pytest.raises(LocalFolderError, match=r"line 1: .* does not lie in"):
        vtab1k("kitti", root)


def test_a_list_that_is_no_text(root: Path):
    (root / "kitti" / "test.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(LocalFolderError, match="is no text in UTF-8"):
        vtab1k("kitti", root)


def test_the_lists_must_have_their_sums(built: Path, tmp_path: Path):
    shutil.copytree(built, tmp_path / "vtab")
    vtab1k("kitti", tmp_path / "vtab")
    listing = tmp_path / "vtab" / "kitti" / "test.txt"
    lines = listing.read_text().splitlines()
    listing.write_text("\n".join([*lines[1:], lines[0]]) + "\n")
    with pytest.raises(ChecksumError, match=r"test\.txt: expected sha256"):
        vtab1k("kitti", tmp_path / "vtab")


def test_images_of_the_user_s_own_may_be_any_number(root: Path, monkeypatch: pytest.MonkeyPatch):
    folder = root / "kitti"
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(folder))
    for part, rows in {"train800": 12, "val200": 8, "test": 5}.items():
        lines = (folder / f"{part}.txt").read_text().splitlines()[:rows]
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n")
    both = (folder / "train800val200.txt").read_text().splitlines()
    (folder / "train800val200.txt").write_text("\n".join([*both[:12], *both[800:808]]) + "\n")
    task = own_images()
    assert (task.classes, len(task.train800), len(task.val200), len(task.train800val200)) == (4, 12, 8, 20)
    (folder / "val200.txt").write_text("\n".join((folder / "val200.txt").read_text().splitlines()[:7]) + "\n")
    with pytest.raises(LocalFolderError, match="is not train800 and val200 together: 1 rows"):
        own_images()
    (folder / "train800val200.txt").write_text("\n".join([*both[:12], *both[800:805]]) + "\n")
    with pytest.raises(LocalFolderError, match="together: 2 of their rows are missing"):
        own_images()
    (folder / "test.txt").write_text("")
    with pytest.raises(LocalFolderError, match=r"test\.txt has no row"):
        own_images(folder)
