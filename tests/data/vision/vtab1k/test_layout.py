"""The folder of the community: read as it is, refused where it is not VTAB-1K."""

import dataclasses
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import ChecksumError, LocalFolderError, UnknownSource
from sparsebench.data.vision.vtab1k import own_images, vtab1k
from sparsebench.data.vision.vtab1k.layout import check_present


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


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """12, 8 and 5 images of four classes: one colour each."""
    rows = {"train800": range(12), "val200": range(12, 20), "test": range(20, 25)}
    for part, numbers in rows.items():
        (tmp_path / part).mkdir()
        lines = []
        for number in numbers:
            Image.new("RGB", (4, 2), (10 * number, 0, 0)).save(tmp_path / part / f"{number}.png")
            lines.append(f"{part}/{number}.png {number % 4}\n")
        (tmp_path / f"{part}.txt").write_text("".join(lines))
    both = (tmp_path / "train800.txt").read_text() + (tmp_path / "val200.txt").read_text()
    (tmp_path / "train800val200.txt").write_text(both)
    return tmp_path


def edit(listing: Path, old: str, new: str) -> None:
    text = listing.read_text()
    assert old in text
    listing.write_text(text.replace(old, new))


def test_images_of_the_user_s_own_may_be_any_number(own: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPARSEBENCH_OWN_IMAGES", str(own))
    task = own_images()
    assert (task.classes, len(task.train800), len(task.val200), len(task.train800val200)) == (4, 12, 8, 20)
    edit(own / "val200.txt", "val200/19.png 3\n", "")
    with pytest.raises(LocalFolderError, match="is not train800 and val200 together: 1 rows"):
        own_images()
    edit(own / "train800val200.txt", "val200/18.png 2\nval200/19.png 3\n", "")
    with pytest.raises(LocalFolderError, match="together: 1 of their rows are missing"):
        own_images()
    (own / "test.txt").write_text("")
    with pytest.raises(LocalFolderError, match=r"test\.txt has no row"):
        own_images(own)


def test_a_missing_list_is_looked_for_where_it_belongs(own: Path, root: Path):
    (own / "val200.txt").unlink()
    with pytest.raises(LocalFolderError, match=r"val200\.txt is missing; expected <root>/val200\.txt next to images/"):
        own_images(own)
    with pytest.raises(LocalFolderError, match=r"train800\.txt is missing; expected <root>/<task>/train800\.txt"):
        vtab1k("cifar", root)


def test_photographs_of_the_user_s_own_are_upright_and_official_images_as_they_lie(own: Path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (4, 2), "red").save(own / "test" / "20.png", exif=exif)
    test = own_images(own).test
    assert test[0][0].shape == (4, 2, 3)
    assert dataclasses.replace(test, upright=False)[0][0].shape == (2, 4, 3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "root" / "images").mkdir(parents=True)
    (tmp_path / "root" / "images" / "a.png").touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "b.png").touch()
    return tmp_path / "root"


def check(folder: Path, *names: str) -> None:
    check_present(folder / "test.txt", [folder / name for name in names], folder)


def test_files_and_links_inside_are_there(folder: Path):
    (folder / "images" / "link.png").symlink_to("a.png")
    (folder / "more").symlink_to("images")
    check(folder, "images/a.png", "images/link.png", "more/a.png")
    (folder.parent / "alias").symlink_to(folder)
    check(folder.parent / "alias", "images/a.png")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda file: None, r"1 of 2 images are missing, first .*b\.png"),
        (lambda file: file.mkdir(), r"b\.png is a folder, not an image"),
        (os.mkfifo, r"b\.png is no plain file \(a pipe or a device\), and is not opened"),
        (lambda file: file.symlink_to("../../elsewhere/b.png"), r"b\.png is a link out of .*, to .*elsewhere/b\.png"),
        (lambda file: file.symlink_to("c.png"), r"b\.png is a link to nothing"),
    ],
)
def test_what_is_no_image_is_refused(folder: Path, make: Callable[[Path], None], words: str):
    make(folder / "images" / "b.png")
    with pytest.raises(LocalFolderError, match=rf"test\.txt: .*{words}"):
        check(folder, "images/a.png", "images/b.png")
    check(folder, "images/a.png")


def test_a_folder_may_not_be_a_link_out(folder: Path):
    (folder / "more").symlink_to(folder.parent / "elsewhere")
    with pytest.raises(LocalFolderError, match=r"more is a link out of"):
        check(folder, "more/b.png")
    (folder / "file").touch()
    with pytest.raises(LocalFolderError, match="1 of 1 images are missing"):
        check(folder, "file/b.png")
