"""Questions in, answers out, in the form of each benchmark; a verdict that says why there is none; broken files."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sparsebench.suites.llm.answers.formats import write_answers

TURNS = [["What is 2 + 2?", "And 3 more?"], ["Name a bird."]]


def said(turns: Sequence[str]) -> list[str]:
    return [f"to {turn!r}: é" for turn in turns]


def questions(tmp_path: Path, form: str) -> Path:
    file = tmp_path / "questions"
    if form == "mt_bench":
        lines = [json.dumps({"question_id": 81 + n, "category": "x", "turns": t}) for n, t in enumerate(TURNS)]
        file.write_text("\n".join([*lines, ""]))
    else:
        file.write_text(json.dumps([{"instruction": turns[0], "dataset": "d"} for turns in TURNS]))
    return file


def test_mt_bench(tmp_path: Path) -> None:
    out = tmp_path / "new" / "answers.jsonl"
    assert write_answers("mt_bench", questions(tmp_path, "mt_bench"), out, "mine", said) == 2
    first, second = [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]
    assert first["question_id"] == 81 and first["model_id"] == "mine" and first["tstamp"] > 0
    assert first["choices"] == [{"index": 0, "turns": said(TURNS[0])}]
    assert second["choices"][0]["turns"] == said(TURNS[1]) and first["answer_id"] != second["answer_id"]
    verdict = json.loads(out.with_suffix(".verdict.json").read_text())
    assert verdict["verdict"] == "n/a" and "judge" in verdict["reason"] and verdict["benchmark"] == "mt_bench"


def test_alpaca_eval(tmp_path: Path) -> None:
    out = tmp_path / "answers.json"
    assert write_answers("alpaca_eval", questions(tmp_path, "alpaca_eval"), out, "mine", said) == 2
    expected = [
        {"instruction": turns[0], "dataset": "d", "output": said(turns)[0], "generator": "mine"} for turns in TURNS
    ]
    assert json.loads(out.read_text(encoding="utf-8")) == expected
    assert json.loads(out.with_suffix(".verdict.json").read_text())["verdict"] == "n/a"


@pytest.mark.parametrize(
    ("form", "text", "words"),
    [
        ("mt_bench", '{"question_id": 1, "turns": ["a"]}\n{"turns": ["a"]}', "line 2: MT-Bench has"),
        ("mt_bench", '{"question_id": 1, "turns": []}', "line 1: MT-Bench has"),
        ("mt_bench", "not json", "line 1 is no JSON"),
        ("mt_bench", "\n", "has no question"),
        ("alpaca_eval", '[{"instruction": "a"}, {"question": "b"}]', "entry 2: AlpacaEval has"),
        ("alpaca_eval", '{"instruction": "a"}', "one list"),
        ("alpaca_eval", "[]", "has no question"),
    ],
)
def test_files_of_another_form(tmp_path: Path, form: Any, text: str, words: str) -> None:
    file = tmp_path / "questions"
    file.write_text(text)
    with pytest.raises(ValueError, match=words):
        write_answers(form, file, tmp_path / "out", "mine", said)
    assert not (tmp_path / "out").exists()
