"""What data are, by their look. What cannot be learnt from: `tests/faults/verbs/test_fit.py`."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import DataError
from sparsebench.data.own.columns import Columns
from sparsebench.data.own.conversations import own_conversations
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.fit.report import about_data
from sparsebench.suites.runner.fit.sources import as_source, look_at

NONE = Columns("", ())
PARTS_OF_ROWS = ["train"] * 12 + ["val"] * 4 + ["test"] * 4
TEXTS = "".join(f"word{number},{'ab'[number % 2]}\n" for number in range(20))
CHATS = "".join(f'{{"prompt": "{number}?", "completion": "yes"}}\n' for number in range(10))


def test_kinds(molecules: Path, tmp_path: Path) -> None:
    own = look_at(molecules, NONE, None)
    assert (own.kind, own.goal, own.columns) == ("molecules", "regression", Columns("SMILES", ("size",)))
    assert [one.row for one in own.rejected] == ["row 37"] and sum(own.counts.values()) == 36
    (tmp_path / "a.csv").write_text("text,label\n" + TEXTS)
    own = look_at(tmp_path / "a.csv", NONE, None)
    assert (own.kind, own.classes, own.counts) == ("text", ("a", "b"), {"train": 12, "val": 4, "test": 4})
    (tmp_path / "b.csv").write_text("what,kind\n" + TEXTS)
    with pytest.raises(DataError, match="Say --text or --smiles with one of 'what', 'kind'"):
        look_at(tmp_path / "b.csv", NONE, None)
    assert look_at(tmp_path / "b.csv", Columns("what", ("kind",)), "text").kind == "text"


def test_images(tmp_path: Path) -> None:
    for number in range(10):
        file = tmp_path / "photos" / "ab"[number % 2] / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 9), number, np.uint8)).save(file)
    own = look_at(tmp_path / "photos", NONE, None)
    assert (own.kind, own.classes, own.side, own.absent) == ("images", ("a", "b"), 9, {})
    with pytest.raises(UsageError, match="has no columns"):
        look_at(tmp_path / "photos", Columns("text", ()), "text")


def test_classes_that_a_part_has_not_are_said(tmp_path: Path) -> None:
    """A test part of one class gave the constant guess an accuracy of 100 %, without a word."""
    parts = {"train": "ab", "val": "b", "test": "a"}
    for number, (part, names) in enumerate(parts.items()):
        for place, name in enumerate(names * 2):
            file = tmp_path / "photos" / part / name / f"{place}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((4, 9), 10 * number + place, np.uint8)).save(file)
    own = look_at(tmp_path / "photos", NONE, None)
    assert own.absent == {"val": ("a",), "test": ("b",)}
    said = "classes without an example, by part (val: 'a'; test: 'b'): the score of such a part says nothing of them"
    assert said in about_data(own)
    rows = "".join(f"word{number},{'b' if number < 9 else 'a'},{part}\n" for number, part in enumerate(PARTS_OF_ROWS))
    (tmp_path / "a.csv").write_text("text,label,split\n" + rows)
    assert look_at(tmp_path / "a.csv", NONE, None).absent == {"val": ("b",), "test": ("b",)}


def test_conversations(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(CHATS)
    own = look_at(file, NONE, None)
    assert (own.kind, own.counts) == ("conversations", {"train": 6, "val": 2, "test": 2})
    with pytest.raises(UsageError, match="holds conversations, which have no columns"):
        look_at(file, Columns("prompt", ()), "text")
    with as_source(own, tmp_path):
        assert own_conversations().parts.count("train") == 6


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.jsonl", '{"messages": []}\n'),
        ("a.jsonl", CHATS + '{"text": "x"}\n'),
        ("a.jsonl", CHATS + "{\n"),
        ("a.jsonl.gz", CHATS),
    ],
)
def test_what_are_no_conversations_is_one_line(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises((UsageError, DataError)) as caught:
        look_at(tmp_path / name, NONE, None)
    assert "\n" not in str(caught.value) and str(tmp_path / name) in str(caught.value)


def test_a_table_is_a_source_with_its_columns(molecules: Path, tmp_path: Path) -> None:
    own = look_at(molecules, NONE, None)
    with as_source(own, tmp_path):
        place = Path(os.environ["SPARSEBENCH_OWN_MOLECULES"])
        assert {file.name for file in place.iterdir()} == {"mine.csv", "columns.json"}
    assert "SPARSEBENCH_OWN_MOLECULES" not in os.environ
