"""Class folders: parts by class and content, or the user's; what is no image is listed."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import TableError
from sparsebench.data.vision.vtab1k import own_images
from sparsebench.data.vision.vtab1k.class_folders import class_folders

PARTS = ("train800", "val200", "test")


def draw(file: Path, shade: int) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((4, 4), shade, np.uint8)).save(file)


def classes(root: Path, count: int = 5) -> Path:
    for place, name in enumerate(("cat", "dog")):
        for number in range(count):
            draw(root / name / f"{number}.png", 100 * place + number)
    return root


def test_each_class_is_in_each_part_and_each_image_in_one(tmp_path: Path) -> None:
    root = classes(tmp_path)
    (root / "cat" / "notes.txt").write_text("no image")
    (root / "cat" / ".hidden").write_text("not looked at")
    draw(root / "dog" / "deep" / "copy.png", 100)
    (root / "README").write_text("in no class")
    (root / "empty").mkdir()
    found = own_images(root)
    assert found.names == ("cat", "dog") and found.classes == 2
    assert [sorted(getattr(found, part).labels) for part in PARTS] == [[0] * 3 + [1] * 3, [0, 1], [0, 1]]
    assert len({file for part in PARTS for file in getattr(found, part).files}) == 10
    assert found.train800val200.files == found.train800.files + found.val200.files
    reasons = {one.row: one.reason for one in found.rejected}
    assert reasons.keys() == {"README", "cat/notes.txt", "dog/deep/copy.png", "empty"}
    assert reasons["dog/deep/copy.png"] == "the same image as dog/0.png"
    assert reasons["empty"] == "a folder without an image, so no class"
    assert reasons["README"] == "it lies in no class folder"
    assert reasons["cat/notes.txt"].startswith("no readable image")
    pixels, label = found.test[0]
    assert pixels.shape == (4, 4, 3) and label == 0


def test_parts_of_the_user_s(tmp_path: Path) -> None:
    classes(tmp_path / "train")
    for place, name in enumerate(("cat", "dog")):
        draw(tmp_path / "test" / name / "a.png", 200 + place)
    draw(tmp_path / "train" / "cat" / "tested.png", 200)
    found = class_folders("own-images", tmp_path, None)
    assert [file.parent.parent.name for file in found.parts["test"].files] == ["test", "test"]
    assert [len(found.parts[part]) for part in PARTS] == [8, 2, 2]
    assert [one.row for one in found.rejected] == ["train/cat/tested.png"]


def test_a_class_may_be_called_train_and_an_empty_class_of_a_part_is_listed(tmp_path: Path) -> None:
    classes(tmp_path / "a" / "train")
    (tmp_path / "a" / "train" / "owl").mkdir()
    assert [one.row for one in own_images(tmp_path / "a").rejected] == ["train/owl"]
    for place, name in enumerate(("train", "bus")):
        for number in range(3):
            draw(tmp_path / "b" / name / f"{number}.png", 10 * place + number)
    assert own_images(tmp_path / "b").names == ("bus", "train")


def test_links_to_folders_are_said(tmp_path: Path) -> None:
    """A linked class was called a folder without an image, one inside of a class was passed over without a word."""
    root = classes(tmp_path / "photos")
    classes(tmp_path / "more")
    (root / "owl").symlink_to(tmp_path / "more" / "cat")
    (root / "dog" / "more").symlink_to(tmp_path / "more" / "dog")
    said = [(one.row, one.reason.partition(",")[0]) for one in own_images(root).rejected]
    assert said == [("dog/more", "a link to a folder"), ("owl", "a link to a folder")]


def test_a_part_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """A fifth of the training images was the test part, in the place of the user's, without a word."""
    root = tmp_path / "photos"
    classes(root / "train")
    for place, name in enumerate(("cat", "dog")):
        draw(tmp_path / "elsewhere" / name / "a.png", 200 + place)
    (root / "test").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TableError, match="its part 'test' is a link to a folder"):
        own_images(root)


def linked_classes(root: Path) -> None:
    for name in ("cat", "dog"):
        draw(root.with_name("elsewhere") / name / "a.png", 1)
        (root / name).symlink_to(root.with_name("elsewhere") / name)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: None, "neither the four lists nor a folder for each class"),
        (lambda root: (root / "cat").mkdir(), "no file in them"),
        (lambda root: draw(root / "cat" / "a.png", 1), r"images of one class, 'cat'; two are needed$"),
        (lambda root: classes(root / "mine"), r"of one class, 'mine'.*; if the classes are cat, dog, say \S+mine$"),
        (lambda root: [classes(root / part / "mine") for part in ("train", "test")], "two are needed$"),
        (lambda root: classes(root, 2), "class 'cat' has 2 of the 3"),
        (lambda root: [classes(root), draw(root / "dog" / "x.png", 0)], "one image has two labels"),
        (  # "train" and "test" were taken for classes then
            lambda root: [classes(root / "train"), classes(root / "Test"), classes(root / "raw")],
            "has folders of parts, Test, train, and another beside them, 'raw'",
        ),
        (lambda root: [(root / "cat").mkdir(), (root / "cat" / "a.png").write_bytes(b"x")], "none of its 1 files"),
        (  # "no file in them"
            linked_classes,
            "none of its 2 files .* of the first, cat: a link to a folder",
        ),
        (lambda root: [draw(root / "train" / "a.png", 1)], "of the first, train/a.png: it lies in no class folder"),
        (
            lambda root: [classes(root / "val"), (root / "train" / "cat").mkdir(parents=True)],
            "no readable image among its training images",
        ),
        (lambda root: [classes(root / "train"), classes(root / "test")], "training images that no later part has, too"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_line(tmp_path: Path, make, message: str) -> None:
    root = tmp_path / "photos"
    root.mkdir()
    make(root)
    with pytest.raises(TableError, match=message) as caught:
        own_images(root)
    assert "\n" not in str(caught.value)
