"""The 25 kinds of damage that users' folders have had: refused in one line, or read as it is meant."""

import os
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k import PARTS, check_images, own_images

ROWS = {"train800": 8, "val200": 4, "test": 4}
CLASSES = 4
VICTIM = "images/test/0.png"
"""The first test image, of class 0: where one image is damaged, it is this one."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A sound folder of the user's."""
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    root = tmp_path / "photographs"
    generator = np.random.default_rng(0)
    lines = {}
    for part, count in ROWS.items():
        (root / "images" / part).mkdir(parents=True)
        lines[part] = [f"images/{part}/{number}.png {number % CLASSES}\n" for number in range(count)]
        for number in range(count):
            pixels = generator.integers(0, 256, (6, 5, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(root / "images" / part / f"{number}.png")
    lines["train800val200"] = lines["train800"] + lines["val200"]
    for part, texts in lines.items():
        (root / f"{part}.txt").write_text("".join(texts))
    return root


def read(folder: Path) -> np.ndarray:
    """All of it, as a run does before anything trains; gives the victim."""
    task = own_images(folder)
    check_images([getattr(task, part) for part in PARTS])
    assert len(task.test) == 4
    return task.test[0][0]


def edit(part: str, old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        listing = folder / f"{part}.txt"
        text = listing.read_text()
        assert old in text
        listing.write_text(text.replace(old, new, 1))

    return change


def victim(content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / VICTIM).write_bytes(content) and None


def image(made: Image.Image, form: str = "PNG", **options: object) -> Callable[[Path], None]:
    """Formats are found by content, whatever the name says."""
    return lambda folder: made.save(folder / VICTIM, form, **options)


def _bomb(folder: Path) -> None:
    """A header that announces 14,000 x 14,000 pixels."""
    file = folder / VICTIM
    content = bytearray(file.read_bytes())
    content[16:24] = struct.pack(">II", 14_000, 14_000)
    content[29:33] = struct.pack(">I", zlib.crc32(content[12:29]))
    file.write_bytes(content)


def _cut_jpeg(folder: Path) -> None:
    Image.effect_noise((64, 64), 80).save(folder / VICTIM, "JPEG")
    (folder / VICTIM).write_bytes((folder / VICTIM).read_bytes()[:900])


def _class_absent_from_train(folder: Path) -> None:
    for part in ("train800", "train800val200"):
        for number in (3, 7):
            edit(part, f"train800/{number}.png 3", f"train800/{number}.png 2")(folder)


def _replaced(make: Callable[[Path], None]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / VICTIM).unlink()
        make(folder / VICTIM)

    return change


def _linked(folder: Path) -> None:
    (folder / VICTIM).rename(folder / "images" / "original.png")
    (folder / VICTIM).symlink_to("../original.png")


def _moving(folder: Path) -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(folder / VICTIM, "GIF", save_all=True, append_images=frames[1:])


def _copied(folder: Path) -> None:
    shutil.copyfile(folder / "images" / "train800" / "0.png", folder / VICTIM)


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "a missing list": (lambda folder: (folder / "val200.txt").unlink(), r"val200\.txt is missing"),
    "label -1": (edit("test", "0.png 0", "0.png -1"), r"line 1: .* is not 'path label'"),
    "a label out of range": (edit("test", "0.png 0", "0.png 9"), r"line 1: label 9 of 0\.png says that there are 10"),
    "a row twice": (edit("test", "test/1.png 1", "test/0.png 0"), "1 images are listed twice"),
    "text for an image": (victim(b"no image"), r"0\.png is no readable image"),
    "an empty file": (victim(b""), r"0\.png is no readable image"),
    "a path out of the folder": (edit("test", VICTIM, "../0.png"), "does not lie in"),
    "a cut JPEG": (_cut_jpeg, r"0\.png is no readable image"),
    "a bomb": (_bomb, r"0\.png is no readable image .*decompression bomb"),
    "a class absent everywhere": (edit("test", "3.png 3", "3.png 5"), "1 of them have no row in any list, first 4"),
    "a test row that trains": (
        edit("test", VICTIM, "images/train800/0.png"),
        "overlap in 1 images, first .*train800/0",
    ),
    "a label of the union that differs": (edit("train800val200", "0/0.png 0", "0/0.png 1"), "is not train800 and val"),
    "tabs": (edit("test", "0.png 0", "0.png\t0"), r"line 1: .* is not 'path label'"),
    "a copy of a training image": (_copied, "1 test images are training images"),
    "an animated GIF": (_moving, "it holds 2 frames"),
    "a class absent from train800": (_class_absent_from_train, r"train800\.txt: 1 of 4 classes have no row: 3"),
    "a folder for an image": (_replaced(Path.mkdir), r"0\.png is a folder, not an image"),
    "a pipe": (_replaced(os.mkfifo), r"0\.png is no plain file"),
}


@pytest.mark.parametrize("damage", REFUSED)
def test_refused_in_one_line(damage: str, folder: Path):
    make, words = REFUSED[damage]
    make(folder)
    with pytest.raises(LocalFolderError, match=words) as found:
        read(folder)
    assert "\n" not in str(found.value)


def _exif(folder: Path) -> None:
    lying = Image.new("RGB", (4, 2))
    lying.putpixel((0, 0), (255, 255, 255))
    exif = Image.Exif()
    exif[0x0112] = 6
    lying.save(folder / VICTIM, exif=exif)


def _marked(folder: Path) -> None:
    listing = folder / "test.txt"
    listing.write_bytes(b"\xef\xbb\xbf" + listing.read_bytes())


DEEP = np.arange(0, 65536, 4096, dtype=np.uint16).reshape(4, 4)
CLEAR = Image.fromarray(np.zeros((2, 2, 4), np.uint8))
RIGHT: dict[str, tuple[Callable[[Path], None], Callable[[np.ndarray], bool]]] = {
    "odd sizes": (image(Image.new("RGB", (3000, 3), "red")), lambda found: found.shape == (3, 3000, 3)),
    "one grey pixel": (image(Image.new("L", (1, 1), 7)), lambda found: found.tolist() == [[[7, 7, 7]]]),
    "CMYK": (
        image(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"),
        lambda found: bool((np.abs(found.astype(int) - (255, 0, 0)) <= 2).all()),
    ),
    "a link inside": (_linked, lambda found: found.shape == (6, 5, 3)),
    "a mark of the encoding": (_marked, lambda found: found.shape == (6, 5, 3)),
    "16 bits": (
        image(Image.fromarray(DEEP)),
        lambda found: np.array_equal(found[..., 0], np.rint(DEEP / 257)),
    ),
    "EXIF orientation": (_exif, lambda found: found.shape == (4, 2, 3) and found[0, 1].tolist() == [255] * 3),
    "transparency": (image(CLEAR), lambda found: bool((found == 255).all())),
}


@pytest.mark.parametrize("damage", RIGHT)
def test_read_as_it_is_meant(damage: str, folder: Path):
    make, right = RIGHT[damage]
    make(folder)
    assert right(read(folder))


def test_the_list_is_whole_and_a_sound_folder_is_sound(folder: Path):
    assert len(REFUSED) + len(RIGHT) == 25 + 1, "sizes count once in the report, twice here"
    assert read(folder).shape == (6, 5, 3)
