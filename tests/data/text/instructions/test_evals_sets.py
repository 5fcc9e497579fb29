"""Records of the package evals as exchanges, and which are refused."""

from pathlib import Path
from typing import Any

import pytest

from sparsebench.data.errors import DataError
from sparsebench.data.text.instructions import evals_sets
from sparsebench.data.text.instructions.evals_sets import exchange_of, read_set

ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]


def test_a_record():
    found = exchange_of({"input": ASKED, "ideal": " 4 "}, "mathematics", "sums")
    assert not isinstance(found, str)
    assert found.messages == (("system", "Be brief."), ("user", "2+2?"))
    assert (found.answer, found.group, found.name) == ("4", "mathematics", "sums")


def test_of_several_answers_the_first_is_taken():
    found = exchange_of({"input": ASKED, "ideal": ["four", "4"]}, "mathematics", "sums")
    assert not isinstance(found, str) and found.answer == "four"


def test_examples_in_the_prompt_are_messages():
    examples = [
        {"role": "system", "name": "example_user", "content": "1+1?"},
        {"role": "system", "name": "example_assistant", "content": "2"},
    ]
    found = exchange_of({"input": [ASKED[0], *examples, ASKED[1]], "ideal": "4"}, "mathematics", "sums")
    assert not isinstance(found, str)
    assert [role for role, _ in found.messages] == ["system", "user", "assistant", "user"]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"input": ASKED}, "no prompt with an answer"),
        ({"sample": ASKED}, "no prompt with an answer"),
        ({"input": ASKED, "ideal": []}, "no text as answer"),
        ({"input": ASKED, "ideal": "  "}, "no text as answer"),
        ({"input": ASKED, "ideal": 4}, "no text as answer"),
        ({"input": ASKED, "ideal": [["4"]]}, "no text as answer"),
        ({"input": "2+2?", "ideal": "4"}, "no messages"),
        ({"input": [], "ideal": "4"}, "no messages"),
        ({"input": [{"role": "tool", "content": "x"}], "ideal": "4"}, "a message that is no text of a known role"),
        ({"input": [{"role": "user", "content": ["x"]}], "ideal": "4"}, "a message that is no text of a known role"),
    ],
)
def test_what_is_no_exchange_is_said(row: dict[str, Any], reason: str):
    assert exchange_of(row, "mathematics", "sums") == reason


def test_all_files_of_a_set_are_read_but_excluded_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "deeper").mkdir()
    line = '{"input": [{"role": "user", "content": "%s"}], "ideal": "y"}\n'
    (tmp_path / "samples.jsonl").write_text(line % "one" + "\n" + '{"input": "no chat", "ideal": "y"}\n')
    (tmp_path / "deeper" / "more.jsonl").write_text(line % "two")
    (tmp_path / "labeled-samples.jsonl").write_text("not even JSON")
    monkeypatch.setattr(evals_sets, "path", lambda source, key, below: tmp_path)
    found = list(read_set("mathematics", "linear-regression"))
    assert [record if isinstance(record, str) else record.prompt for record in found] == ["two", "one", "no messages"]
    with pytest.raises(DataError, match=r"labeled-samples\.jsonl, line 1: no JSON"):
        list(read_set("logic", "other"))
