"""`run` of `own_images`, `own_text`, `own_labelled_text` and `own_molecules`: folders that are none of that."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from .catalogue import Case, Make, Sound, put
from .test_fit import TEXTS, picture

LISTS = {"train800": 8, "val200": 4, "test": 6}
IMAGES = "vtab run -t own_images -b tiny -m linear_probe -o out"
TEXT = "llm run -t own_text -b tiny -m continual_pretraining -o out"
LABELLED = "llm run -t own_labelled_text -b hashed_words -m linear_probe -o out"
MOLECULES = "molecules run -p fit -t own_molecules -b ecfp4 -m linear_probe -o out"


def photographs(*changes: Callable[[Path], object]) -> Make:
    """18 pictures of two classes in the layout of VTAB-1K, changed."""

    def make(here: Path, _: Sound) -> None:
        lines: dict[str, list[str]] = {}
        shade = 0
        for part, count in LISTS.items():
            lines[part] = []
            for number in range(count):
                put(here / "mine" / part / f"{number}.png", picture(shade))
                lines[part].append(f"{part}/{number}.png {number % 2}\n")
                shade += 1
        lines["train800val200"] = lines["train800"] + lines["val200"]
        for part, rows in lines.items():
            put(here / "mine" / f"{part}.txt", "".join(rows))
        for change in changes:
            change(here / "mine")

    return make


def images(damage: str, says: str, *changes: Callable[[Path], object]) -> Case:
    return Case(damage, IMAGES, says, make=photographs(*changes), place=("SPARSEBENCH_OWN_IMAGES", "mine"))


def rewritten(name: str, old: str, new: str) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new))

    return change


def text(damage: str, says: str, name: str = "", content: str | bytes | None = None) -> Case:
    """A folder of texts with one file in it, or with nothing."""
    return Case(damage, TEXT, says, {f"mine/{name}": content}, place=("SPARSEBENCH_OWN_TEXT", "mine"))


def table(damage: str, line: str, says: str, files: dict[str, str | bytes | None]) -> Case:
    variable = "SPARSEBENCH_OWN_MOLECULES" if line == MOLECULES else "SPARSEBENCH_OWN_LABELLED_TEXT"
    named = {f"mine/{name}": content for name, content in files.items()} or {"mine": None}
    return Case(damage, line, says, named, place=(variable, "mine"))


PICTURES = [
    Case("no pictures named", IMAGES, "SPARSEBENCH_OWN_IMAGES"),
    Case("pictures that are not there", IMAGES, "mine", place=("SPARSEBENCH_OWN_IMAGES", "mine")),
    images("a list less", "val200.txt is missing", lambda mine: (mine / "val200.txt").unlink()),
    images("a list of nothing", "val200.txt", lambda mine: (mine / "val200.txt").write_text("")),
    images(
        "a class without training",
        "label 7 of 3.png says that there are 8 classes",
        rewritten("test.txt", "test/3.png 1", "test/3.png 7"),
    ),
    images("a label in words", "test.txt", rewritten("test.txt", "test/3.png 1", "test/3.png dog")),
    images("a label below zero", "test.txt", rewritten("test.txt", "test/3.png 1", "test/3.png -1")),
    images("two labels for one picture", "test.txt", rewritten("test.txt", "test/3.png 1", "test/2.png 1")),
    images("a picture in two parts", "overlap", rewritten("test.txt", "test/3.png", "train800/3.png")),
    images("a picture that is not there", "test/9.png", rewritten("test.txt", "test/3.png", "test/9.png")),
    images("a picture outside of the folder", "test.txt", rewritten("test.txt", "test/3.png", "../../3.png")),
    images(
        "a picture that is none",
        "test/5.png is no readable image",
        lambda mine: (mine / "test" / "5.png").write_bytes(b"no image"),
    ),
    images("an animated nothing", "test/5.png", lambda mine: (mine / "test" / "5.png").write_bytes(b"GIF89a")),
    images(
        "lists that do not agree",
        "train800val200.txt",
        lambda mine: (mine / "train800val200.txt").write_text("train800/0.png 0\n"),
    ),
]
TEXTS_OF_MINE = [
    Case("no text named", TEXT, "SPARSEBENCH_OWN_TEXT"),
    text("no domains", "has no domain"),
    text("text in no domain", "lies in no domain", "a.txt", "x"),
    text("a domain of nothing", "domain 'a' has no file", "a"),
    text("another form of text", "has none of the endings", "a/b.pdf", b"%PDF"),
    text("too little text", "has no text in its part", "a/b.txt", "few words"),
    text("text cut inside a character", "b.txt", "a/b.txt", "ä".encode()[:1]),
    text("a line that is no JSON", "b.jsonl", "a/b.jsonl", '{"text": "a"}\nb\n'),
]
TABLES = [
    Case("no table named", LABELLED, "SPARSEBENCH_OWN_LABELLED_TEXT"),
    table("no table", MOLECULES, "mine has 0 tables", {}),
    table("two tables", MOLECULES, "mine has 2 tables", {"a.csv": "smiles,y\nC,1\n", "b.csv": "smiles,y\nC,1\n"}),
    table("columns that are none", LABELLED, "columns.json must be as", {"a.csv": TEXTS, "columns.json": "[]"}),
    table(
        "columns that the table lacks",
        MOLECULES,
        "no column 'logP'",
        {"a.csv": "smiles,y\nC,1\n", "columns.json": json.dumps({"input": "smiles", "targets": ["logP"]})},
    ),
    table("texts of one class", LABELLED, "a.csv", {"a.csv": TEXTS.replace(",b", ",a")}),
    table("no molecule in the table", MOLECULES, "none of its 2 rows can be used", {"a.csv": "smiles,y\nxx,1\nyy,2\n"}),
]
CASES = [*PICTURES, *TEXTS_OF_MINE, *TABLES]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_data_of_mine_that_is_none(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
