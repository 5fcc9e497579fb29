"""Every record is kept or counted with the reason against it."""

from collections.abc import Sequence

import pytest

from sparsebench.data.text.instructions import selection
from sparsebench.data.text.instructions.exchange import Exchange, draw_of, place_of
from sparsebench.data.text.instructions.selection import LONGEST, select


def exchange(prompt: str, answer: str = "yes", name: str = "a") -> Exchange:
    return Exchange("logic", name, (("user", prompt),), answer)


def scored_if_asked(texts: Sequence[str]) -> list[bool]:
    return ["scored" in text for text in texts]


def test_every_record_is_counted(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(selection, "MOST", 5)
    one = [exchange(f"p{n}") for n in range(9)] + ["no text as answer", exchange("x" * LONGEST)]
    two = [
        exchange("P0 ", "yes", "b"),  # the same prompt and answer as in the first set
        exchange("q0", "yes", "b"),
        exchange("q0", "no", "b"),  # two answers
        exchange("is it scored?", "yes", "b"),
        exchange("q1", "scored", "b"),  # found in the answer
        exchange("q2", "yes", "b"),
    ]
    kept, census = select([("a", one), ("b", two)], scored_if_asked)
    assert census["a"] == {
        "kept": 5, "beyond 5 of the set": 4, "no text as answer": 1, f"longer than {LONGEST} characters": 1
    }  # fmt: skip
    assert census["b"] == {
        "kept": 1, "the same prompt as before": 2, "several answers to one prompt": 1, "in an evaluation set": 2
    }  # fmt: skip
    assert sum(census["a"].values()) == len(one) and sum(census["b"].values()) == len(two)
    assert len(kept) == 6 and {one.prompt for one in kept if one.name == "b"} == {"q2"}


def test_order_and_sample_depend_on_the_prompts_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(selection, "MOST", 20)
    records = [exchange(f"p{n}") for n in range(60)]
    kept, _ = select([("a", records)], scored_if_asked)
    again, _ = select([("a", records[::-1])], scored_if_asked)
    drawn = sorted(records, key=lambda one: draw_of(one.digest))[:20]
    assert kept == again == sorted(drawn, key=lambda one: place_of(one.digest))


def test_a_cut_set_is_spread_over_the_whole_order(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(selection, "MOST", 100)
    giant = [exchange(f"p{n}") for n in range(2000)]
    kept, _ = select([("a", giant), ("b", [exchange(f"q{n}", name="b") for n in range(100)])], scored_if_asked)
    assert 30 <= sum(one.name == "a" for one in kept[:100]) <= 70
