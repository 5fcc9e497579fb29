"""Multiple-choice questions."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sparsebench.data.labelled import questions
from sparsebench.data.labelled.questions import Question, identity
from sparsebench.data.labelled.table import normal_form


@pytest.mark.data
@pytest.mark.parametrize(("name", "test"), [("arc_easy", 2_376), ("openbookqa", 500), ("csqa", 1_221)])
def test_questions(name, test: int) -> None:
    parts = questions.question_parts(name, train=300, val=50)
    assert len(parts.train) == 300 and 45 <= len(parts.val) <= 50 and len(parts.test) == test
    prompts = [{normal_form(q.prompt) for q in part} for part in (parts.train, parts.val, parts.test)]
    assert not prompts[0] & prompts[1] and not prompts[0] & prompts[2] and not prompts[1] & prompts[2]
    assert all(0 <= q.gold < len(q.options) and q.prompt.endswith("Answer:") for q in [*parts.train, *parts.test])


def test_identity_of_questions() -> None:
    one = Question("What?\nAnswer:", ("a", "b"), 0)
    assert identity(one) == identity(Question("what?  answer:", ("B", "a"), 1))
    assert identity(one) != identity(Question("What?\nAnswer:", ("a", "c"), 0))


def row(doc_id: int, query: str, choices: list[str], gold: int) -> str:
    return json.dumps({"doc_id": doc_id, "doc": {"query": query, "choices": choices, "gold": gold}})


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """`files(name, part, rows)` writes the packaged file of a part."""

    def write(name: str, part: str, rows: list[str]) -> None:
        folder = tmp_path / name / f"{part}_rc_5shot"
        folder.mkdir(parents=True)
        with gzip.open(folder / "requests.jsonl.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(rows))
        monkeypatch.setattr(questions, "path", lambda source, key, below: tmp_path / below)
        questions.question_parts.cache_clear()

    return write


def test_each_question_once_and_none_without_its_question(files: Callable[..., None]) -> None:
    rows = [row(0, "Why? Answer:", ["a", "b"], 1), row(1, "WHY?  answer:", ["b", "a"], 0)]
    files("arc_easy", "train", [*rows, row(questions.UNCONDITIONAL, "Answer:", ["a", "b"], 1)])
    (found,) = questions.questions("arc_easy", "train")
    assert found == Question("Why? Answer:", ("a", "b"), 1)


def test_parts_share_no_prompt_and_the_test_part_stays_whole(files: Callable[..., None]) -> None:
    texts = {"train": "ABCD", "val": "CDE", "test": "EF"}
    for part, letters in texts.items():
        files("openbookqa", part, [row(n, f"{letter} Answer:", ["x", "y"], 0) for n, letter in enumerate(letters)])
    parts = questions.question_parts("openbookqa", train=10, val=10)
    prompts = [{question.prompt[0] for question in part} for part in (parts.train, parts.val, parts.test)]
    assert prompts == [{"A", "B"}, {"C", "D"}, {"E", "F"}]


def test_csqa_has_no_test_labels_so_its_validation_part_is_the_test_part(files: Callable[..., None]) -> None:
    for part, letters in {"train": "ABCDEF", "val": "GH"}.items():
        files("csqa", part, [row(n, f"{letter} Answer:", ["x", "y"], 1) for n, letter in enumerate(letters)])
    parts = questions.question_parts("csqa", train=3, val=2)
    assert (len(parts.train), len(parts.val)) == (3, 2) and {q.prompt[0] for q in parts.test} == {"G", "H"}
    assert not {q.prompt for q in parts.train} & {q.prompt for q in parts.val}
