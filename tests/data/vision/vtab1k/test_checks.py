"""Each way in which lists can be wrong is refused, and the file is named."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data.errors import ChecksumError, LocalFolderError
from sparsebench.data.vision.vtab1k import PARTS, VtabTask, check_images, vtab1k
from sparsebench.data.vision.vtab1k.checks import say_test_copies

Change = Callable[[list[str]], list[str]]


def change(root: Path, part: str, to: Change) -> None:
    listing = root / "kitti" / f"{part}.txt"
    listing.write_text("\n".join(to(listing.read_text().splitlines())) + "\n")


def image(root: Path, part: str, number: int) -> Path:
    return root / "kitti" / "images" / part / f"{number:06d}.jpg"


def named(task: VtabTask):
    return {part: getattr(task, part) for part in PARTS}


@pytest.mark.parametrize(
    ("part", "to", "message"),
    [
        ("train800", lambda lines: lines[:790], "has 790 rows, but train800 of this task has 800"),
        ("val200", lambda lines: [*lines, *lines[:1]], "has 201 rows, but val200 of this task has 200"),
        ("train800val200", lambda lines: lines[:-1], "has 999 rows, but train800val200 of this task has 1000"),
        ("test", lambda lines: [], "test.txt, line 1: '' is not 'path label'"),
        ("test", lambda lines: lines[:700], "has 700 rows, but test of this task has 711"),
        ("train800", lambda lines: [*lines[:-1], lines[0]], "1 images are listed twice, first .*000000.jpg"),
        ("test", lambda lines: [*lines[:-1], lines[0]], "1 images are listed twice, first .*000000.jpg"),
        (
            "val200",
            lambda lines: ["images/train800/000007.jpg 3", *lines[1:]],
            "train800.txt and val200.txt overlap in 1 images, first .*000007.jpg",
        ),
        (
            "test",
            lambda lines: ["images/train800/000004.jpg 0", *lines[1:]],
            "train800.txt and test.txt overlap in 1 images",
        ),
        ("train800val200", lambda lines: [lines[0][:-1] + "1", *lines[1:]], "not train800 and val200 together: 1 rows"),
        ("test", lambda lines: [line.replace("jpg 3", "jpg 2") for line in lines], "1 of 4 classes have no row: 3"),
    ],
)
def test_lists_that_are_not_vtab_1k(root: Path, part: str, to: Change, message: str):
    change(root, part, to)
    with pytest.raises(LocalFolderError, match=message):
        vtab1k("kitti", root)


def test_a_class_without_training_rows(root: Path):
    for part in ("train800", "val200", "train800val200"):
        change(root, part, lambda lines: [line[:-1] + line[-1].replace("0", "1") for line in lines])
    with pytest.raises(LocalFolderError, match=r"train800val200.txt: 1 of 4 classes have no row: 0"):
        vtab1k("kitti", root)


def test_the_same_image_in_training_and_validation_under_two_names(root: Path):
    shutil.copyfile(image(root, "train800", 4), image(root, "val200", 8))
    shutil.copyfile(image(root, "train800", 4), image(root, "train800val200", 808))
    with pytest.raises(LocalFolderError, match=r"overlap in 1 images: .*val200/000008.jpg is .*train800/000004.jpg"):
        vtab1k("kitti", root)


def test_the_union_holds_other_images(root: Path):
    shutil.copyfile(image(root, "test", 0), image(root, "train800val200", 12))
    with pytest.raises(LocalFolderError, match=r"not train800 and val200 together: 1 rows .*000012.jpg"):
        vtab1k("kitti", root)


def test_copies_of_training_images_in_the_test_part_are_said(root: Path):
    """Official folders are scored as they are; where there are none, the images are not compared again."""
    sound = vtab1k("kitti", root)
    say_test_copies(named(sound))
    assert list((root.parent / "cache" / "checked").glob("vtab-1k-apart-*"))
    shutil.copyfile(image(root, "train800", 4), image(root, "test", 8))
    for _ in range(2):
        with pytest.warns(
            UserWarning, match=r"1 of 711 test images are training images, as .*test/000008\.jpg, which is"
        ):
            say_test_copies(named(vtab1k("kitti", root)))


def test_a_class_that_train800_lacks_is_said(root: Path):
    """It is in val200: there is something to train on in the end, and nothing while options are chosen."""

    def without(lines: list[str]) -> list[str]:
        return [line[:-1] + line[-1].replace("0", "1") for line in lines[:800]] + lines[800:]

    change(root, "train800", without)
    change(root, "train800val200", without)
    with pytest.warns(UserWarning, match=r"train800\.txt: 1 of 4 classes have no row, first 0"):
        vtab1k("kitti", root)


@pytest.mark.parametrize(("copies", "refused"), [(3, False), (9, True)])
def test_a_few_twins_are_said_and_many_are_refused(root: Path, copies: int, refused: bool):
    for number in range(copies):
        for part in ("train800", "train800val200"):
            shutil.copyfile(image(root, part, 0), image(root, part, 4 * (number + 1)))
    found = rf"train800.txt: {copies} of 800 rows repeat the image of another row"
    if refused:
        with pytest.raises(LocalFolderError, match=found + ": at most 1%"):
            vtab1k("kitti", root)
        return
    with pytest.warns(UserWarning, match=found):
        vtab1k("kitti", root)


def parts(task: VtabTask):
    return [getattr(task, part) for part in PARTS]


def test_an_image_that_cannot_be_read_is_named(root: Path):
    task = vtab1k("kitti", root)
    check_images(parts(task))
    broken = image(root, "test", 700)
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(LocalFolderError, match=r"test/000700.jpg is no readable image"):
        check_images(parts(task))


def test_images_are_read_once_a_machine(root: Path, monkeypatch: pytest.MonkeyPatch):
    task = vtab1k("kitti", root)
    check_images(parts(task))
    read = []
    monkeypatch.setattr("sparsebench.data.vision.vtab1k.checks.read_rgb", read.append)
    check_images(parts(task))
    assert read == []
    image(root, "val200", 1).touch()
    check_images(parts(task))
    assert len(read) == 200, "the part with the changed file"


def test_an_image_with_another_sum(built: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    shutil.copytree(built, tmp_path / "vtab")
    task = vtab1k("kitti", tmp_path / "vtab")
    shutil.copyfile(image(tmp_path / "vtab", "test", 1), image(tmp_path / "vtab", "test", 5))
    with pytest.raises(ChecksumError, match=r"000005.jpg: expected sha256"):
        check_images(parts(task))


def test_a_sound_folder_gives_no_warning(root: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vtab1k("kitti", root)
