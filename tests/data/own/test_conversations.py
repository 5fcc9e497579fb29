"""Parts of the user's own conversations: what begins alike stays together, a split of one's own wins."""

import gzip
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own.conversations import (
    OwnConversations,
    is_conversations,
    learnable_conversations,
    lines_of,
    own_conversations,
)
from sparsebench.data.own.table_folder import COLUMNS_FILE


def line(asked: str, answer: str, **fields: str) -> str:
    return json.dumps({"prompt": asked, "completion": answer, **fields})


def written(file: Path, lines: Iterable[str]) -> Path:
    file.write_text("\n".join(lines) + "\n")
    return file


def of(found: OwnConversations) -> dict[str, list[int]]:
    """Lines by part."""
    parts: dict[str, list[int]] = {"train": [], "val": [], "test": []}
    for one, part in zip(found.conversations, found.parts, strict=True):
        parts[part].append(one.line)
    return parts


def test_what_begins_alike_is_in_one_part(tmp_path: Path) -> None:
    """Ten questions, each with two answers in different places, one of them said twice."""
    lines = [line(f"Question {number % 10}?", f"answer {number}") for number in range(20)]
    lines += ["", line("question  3?", "Answer 3"), json.dumps({"prompt": "nothing"})]
    found = learnable_conversations(written(tmp_path / "a.jsonl", lines))
    assert [(one.row, one.reason) for one in found.rejected] == [
        ("line 22", "the same conversation as line 4"),
        ("line 23", "it has no answer"),
    ]
    assert {part: len(numbers) for part, numbers in of(found).items()} == {"train": 12, "val": 4, "test": 4}
    for numbers in of(found).values():
        assert {(number - 1) % 10 for number in numbers if number <= 10} == {
            (number - 1) % 10 for number in numbers if number > 10
        }


def parted(parts: Sequence[str], field: str = "split") -> list[str]:
    return [line(f"Question {number}?", "answer", **{field: part}) for number, part in enumerate(parts)]


def test_a_split_of_ones_own_wins(tmp_path: Path) -> None:
    parts = ["train"] * 3 + ["Validation", "dev", "test", "test"]
    lines = [*parted(parts), line("question 5?", "another", split="train"), line("Question 0?", "answer", split="test")]
    found = learnable_conversations(written(tmp_path / "a.jsonl", lines))
    assert found.split == "split" and of(found) == {"train": [2, 3], "val": [4, 5], "test": [6, 7, 9]}
    assert [(one.row, one.reason) for one in found.rejected] == [
        ("line 1", "the same conversation as line 9"),
        ("line 8", "it begins as line 6 does, which is in test"),
    ]
    file = written(tmp_path / "b.jsonl", parted(["train"] * 10 + ["test"] * 2, "fold"))
    assert learnable_conversations(file).split == "", "no field that is called so"
    found = learnable_conversations(file, "fold")
    assert of(found)["test"] == [11, 12] and len(of(found)["val"]) == 2, "what is missing comes from the training part"


def test_answers_follow_a_turn_of_the_users(tmp_path: Path) -> None:
    said = [("gpt", "Hello"), ("human", "Hi"), ("gpt", "Yés"), ("human", "So?"), ("gpt", "No")]
    turns = [{"from": name, "value": value} for name, value in said]
    file = written(tmp_path / "a.jsonl", [json.dumps({"conversations": turns})])
    (read,) = lines_of(file)
    assert read.conversation is not None
    assert read.conversation.answers == (2, 4) and read.conversation.answer_bytes == 6


@pytest.mark.parametrize(
    ("lines", "split", "reason"),
    [
        ([], "", "has no line"),
        ([line("a", "b"), "", '{"text": "x"}'], "", "line 3: it has the fields 'text'"),
        ([line("a", "b"), json.dumps({"prompt": "x"})], "", r"1 conversations have 1 of the 3 different beginnings"),
        ([json.dumps({"prompt": "x"})], "", "none of its 1 conversations can be used; of the first: it has no answer"),
        ([line(str(number), "b") for number in range(4)], "", "its part val has 1 conversations, and 2 are needed"),
        (parted(["train", "train", "val", "huh"]), "split", "line 4: 'split' is 'huh'; write train, val or test"),
        (parted(["train", "train"]), "fold", "line 1: 'fold' is None; write train"),
        (parted(["train", "train", "val", "huh"]), "", "line 4: 'split' is 'huh'; write train, val or test"),
        (parted(["val", "test"]), "split", "'split' names no conversation of the training part"),
    ],
)
def test_what_cannot_be_learnt_from_is_one_line(tmp_path: Path, lines: list[str], split: str, reason: str) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text("\n".join(lines))
    with pytest.raises(TableError, match=reason) as caught:
        learnable_conversations(file, split)
    assert "\n" not in str(caught.value) and str(file) in str(caught.value)


def test_folders(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="has 0 files of conversations"):
        own_conversations(tmp_path)
    packed = gzip.compress(b"\xef\xbb\xbf" + "\n".join(parted(["train", "val", "test"] * 2, "fold")).encode())
    (tmp_path / "a.jsonl.gz").write_bytes(packed)
    (tmp_path / COLUMNS_FILE).write_text('{"input": "", "targets": [], "split": "fold"}')
    assert of(own_conversations(tmp_path)) == {"train": [1, 4], "val": [2, 5], "test": [3, 6]}
    (tmp_path / "a.jsonl.gz").write_bytes(packed[:-9])
    with pytest.raises(TableError, match=r"a\.jsonl\.gz cannot be read: "):
        list(lines_of(tmp_path / "a.jsonl.gz"))
    assert not is_conversations(tmp_path / "a.csv")
