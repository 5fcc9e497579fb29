"""What is listed must be a plain file of the folder: whatever else has its name is said in one line, and not opened."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k.presence import check_present


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
