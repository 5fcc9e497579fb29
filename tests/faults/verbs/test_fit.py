"""`fit`: data that cannot be learnt from, in every form that data have."""

import gzip
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from .catalogue import Case, Make, Sound, put

WORDS = [f"word{number},{'ab'[number % 2]}" for number in range(20)]
TEXTS = "text,label\n" + "\n".join(WORDS) + "\n"
RINGS = "".join(f"{'C' * length}c1ccccc1,{length}\n" for length in range(1, 11))


def csv(*lines: str) -> dict[str, str | bytes | None]:
    return {"a.csv": "\n".join(lines) + "\n"}


def picture(shade: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((6, 6, 3), shade, np.uint8)).save(file, "png")
    return file.getvalue()


def pictures(*names: str, **others: bytes) -> Make:
    """A folder of pictures, no two of one shade, and other contents by class."""

    def make(folder: Path, _: Sound) -> None:
        for shade, name in enumerate(names):
            put(folder / "photos" / name, picture(shade))
        for name, content in others.items():
            put(folder / "photos" / name / "odd.png", content)

    return make


CLASSES = [f"{label}/{number}.png" for label in "ab" for number in range(6)]


def parquet(**columns: list) -> Make:
    def make(folder: Path, _: Sound) -> None:
        import pandas as pd

        pd.DataFrame(columns).to_parquet(folder / "a.parquet")

    return make


def bomb() -> bytes:
    """A PNG whose header says 60,000 by 60,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


FILES = [
    Case("nothing there", "fit nowhere", "there is no nowhere"),
    Case("a link to nothing", "fit a.csv", "there is no a.csv", make=lambda here, _: (here / "a.csv").symlink_to("b")),
    Case("a workbook", "fit a.xlsx", "a.xlsx: give a folder of class folders, a table", {"a.xlsx": b"PK\x03\x04"}),
    Case("an empty file", "fit a.csv", "a.csv cannot be read as a table", {"a.csv": ""}),
    Case("a header alone", "fit a.csv", "a.csv has no row", csv("text,label")),
    Case("no UTF-8", "fit a.csv", "a.csv cannot be read as a table", {"a.csv": "text,label\nä,a\n".encode("latin-1")}),
    Case("bytes of zero", "fit a.csv", "a.csv", {"a.csv": b"\0" * 64}),
    Case(
        "rows longer than the header", "fit a.csv", "more fields than its header", csv("text,label", "x,a,1", "y,b,2")
    ),
    Case(
        "rows of all lengths", "fit a.csv", "a.csv cannot be read as a table", csv("a,b", "1,2,3,4", "1", "1,2,3,4,5")
    ),
    Case("an open quote", "fit a.csv", "a.csv", {"a.csv": 'text,label\n"x,a\ny,b\n'}),
    Case("no gzip in .gz", "fit a.csv.gz", "a.csv.gz cannot be read", {"a.csv.gz": "text,label\n"}),
    Case("gzip cut off", "fit a.csv.gz", "a.csv.gz cannot be read", {"a.csv.gz": gzip.compress(TEXTS.encode())[:60]}),
    Case("a table in name only", "fit a.csv", "a.csv", {"a.csv": None}),
    Case("no Parquet", "fit a.parquet", "a.parquet cannot be read", {"a.parquet": "text,label\n"}),
    Case("Parquet of lists", "fit a.parquet", "a.parquet", make=parquet(text=[["x"], ["y"]], label=["a", "b"])),
    Case("an SDF of nothing", "fit a.sdf", "a.sdf", {"a.sdf": "nothing"}),
    Case("SMILES without values", "fit a.smi", "a.smi", {"a.smi": "CCO\nCC\n"}),
]
COLUMNS = [
    Case("a name twice", "fit a.csv", "two columns called 'smiles'", csv("smiles,smiles", "C,1")),
    Case("texts or molecules", "fit a.csv", "Say --text or --smiles with one of 'a', 'b'", csv("a,b", "1,2")),
    Case("nothing to predict", "fit a.csv", "a.csv has no column to predict", csv("smiles", "C")),
    Case(
        "two that may be meant",
        "fit a.csv",
        "--target (once for each) with one of 'a', 'b'",
        csv("smiles,a,b", "C,1,2", "CC,2,3"),
    ),
    Case("two labels that may be meant", "fit a.csv", "--label with one of 'x', 'z'", csv("text,x,z", "a,1,2")),
    Case("a column misspelt", "fit a.csv --text txt", "no column 'txt'; did you mean text", csv(*TEXTS.split())),
    Case("a label misspelt", "fit a.csv --label lable", "no column 'lable'; did you mean label", csv(*TEXTS.split())),
    Case("a split that is not there", "fit a.csv --split part", "no column 'part'", csv(*TEXTS.split())),
    Case("one column as two things", "fit a.csv --text text --label text", "'text' cannot be two", csv(*TEXTS.split())),
    Case("a target twice", "fit a.csv --target y --target y", "'y'", csv("smiles,y", *RINGS.split())),
    Case("options of both kinds", "fit a.csv --text t --smiles s", "say one of the two", csv(*TEXTS.split())),
    Case("columns of a folder", "fit photos --text t", "photos is a folder of images", make=pictures(*CLASSES)),
]
VALUES = [
    Case("one class", "fit a.csv", "a.csv", csv("text,label", *(f"word{number},a" for number in range(20)))),
    Case(
        "a class of one", "fit a.csv", "a.csv", csv("text,label", "x,a", *(f"word{number},b" for number in range(19)))
    ),
    Case("too few", "fit a.csv", "class 'a' has 2 of the 3", csv("text,label", *WORDS[:4])),
    Case("no label anywhere", "fit a.csv", "a.csv", csv("text,label", "x,", "y,", "z,")),
    Case(
        "every text under two labels",
        "fit a.csv",
        "none of its 20 rows can be used; of the first: rows 1, 11 are one text, two labels",
        csv("text,label", *(f"word{number},{label}" for label in "ab" for number in range(10))),
    ),
    Case("labels with a fraction", "fit a.csv", "fraction", csv("text,label", *(f"w{n},{n}.5" for n in range(20)))),
    Case("mixed numbers and names", "fit a.csv", "a.csv, column 'y' mixes", csv("smiles,y", "C,1", "CC,x", "CCC,y")),
    Case("no value anywhere", "fit a.csv", "a.csv, column 'y' has no value", csv("smiles,y", "C,nan", "CC,")),
    Case("one value only", "fit a.csv", "column 'y' has one value only", csv("smiles,y", "C,1", "CC,1")),
    Case(
        "targets of two kinds",
        "fit a.csv --target y --target z",
        "different kinds",
        csv("smiles,y,z", "C,1.5,0", "CC,2,1", "CCC,3,0"),
    ),
    Case(
        "two columns of classes",
        "fit a.csv --target y --target z",
        "several columns of classes",
        csv("smiles,y,z", "C,low,red", "CC,high,blue", "CCC,low,red"),
    ),
    Case("no molecule", "fit a.csv", "none of its 2 rows can be used", csv("smiles,y", "xx,1", "yy,2")),
    Case("one scaffold", "fit a.csv", "no split by scaffold works", csv("smiles,y", *RINGS.split())),
    Case(
        "a part of one row",
        "fit a.csv",
        "its part val has 1 rows",
        csv("text,label,split", "x,a,train", "y,b,train", "z,a,val", "w,b,test"),
    ),
    Case(
        "a part with another name",
        "fit a.csv --split part",
        "a.csv",
        csv("text,label,part", *(f"{line},middle" for line in WORDS)),
    ),
]
IMAGES = [
    Case("an empty folder", "fit photos", "photos", {"photos": None}),
    Case("no class folders", "fit photos", "photos", make=pictures("a.png", "b.png")),
    Case("one class folder", "fit photos", "photos", make=pictures(*CLASSES[:6])),
    Case("a class of one picture", "fit photos", "photos", make=pictures(*CLASSES[:7])),
    Case("class folders without a file", "fit photos", "photos", {"photos/a": None, "photos/b": None}),
    Case("texts called .png", "fit photos", "photos", {f"photos/{name}": f"no image {name}" for name in CLASSES}),
    Case(
        "pictures cut off",
        "fit photos",
        "photos",
        make=lambda here, _: [put(here / "photos" / name, picture(shade)[:50]) for shade, name in enumerate(CLASSES)],
    ),
    Case("pictures that say 60,000 x 60,000", "fit photos", "photos", {f"photos/{name}": bomb() for name in CLASSES}),
    Case(
        "every picture in two classes",
        "fit photos",
        "photos",
        make=lambda here, _: [put(here / "photos" / name, picture(int(name[2]))) for name in CLASSES],
    ),
    Case(
        "a class that is only tested",
        "fit photos",
        "photos",
        make=pictures(
            *(f"{part}/{name}" for part in ("train", "val", "test") for name in CLASSES), "test/c/1.png", "test/c/2.png"
        ),
    ),
]
OPTIONS = [
    Case("no data", "fit", "Missing argument 'DATA'"),
    Case("no seed", "fit a.csv --seeds 0", "--seeds", csv(*TEXTS.split())),
    Case("seeds in words", "fit a.csv --seeds three", "--seeds", csv(*TEXTS.split())),
    Case("an option that there is not", "fit a.csv --labels x", "--labels", csv(*TEXTS.split())),
    Case("a word too many", "fit a.csv out more", "more", csv(*TEXTS.split())),
    Case("a folder that is there", "fit a.csv out", "out is there already", {**csv(*TEXTS.split()), "out": None}),
    Case("a folder below a file", "fit a.csv a.csv/out", "a.csv", csv(*TEXTS.split())),
    Case("no workers", "fit a.csv --workers 0", "--workers", csv(*TEXTS.split())),
]
CASES = [*FILES, *COLUMNS, *VALUES, *IMAGES, *OPTIONS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_data_that_cannot_be_learnt_from(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
