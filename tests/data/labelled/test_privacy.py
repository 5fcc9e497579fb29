"""How pairs of a question and a clause are read."""

import json
from collections.abc import Callable

import pytest

from sparsebench.data.labelled import privacy

ROWS = [("you sell it?", "We never sell.", "True"), ("you sell it?", "Cookies are small.", "False")]


def lines(rows: list[tuple[str, str, str]]) -> str:
    found = [{"context": clause, "question": question, "answer": answer} for question, clause, answer in rows]
    return "".join(json.dumps(row) + "\n" for row in found)


def test_the_question_comes_first(give: Callable[..., None]) -> None:
    give(privacy, privacy=lines(ROWS))
    table = privacy.privacy_answers()
    assert table.texts == (("you sell it?", "We never sell."), ("you sell it?", "Cookies are small."))
    assert [table.classes[target] for target in table.targets] == ["yes", "no"]


def test_another_answer_is_refused(give: Callable[..., None]) -> None:
    give(privacy, privacy=lines([("q", "c", "Maybe")]))
    with pytest.raises(KeyError, match="Maybe"):
        privacy.privacy_answers()
