"""Runs of words against sets of tuples, texts of every length, and texts that span chunks."""

import random

import pytest

from sparsebench.data.text.decontamination import overlap
from sparsebench.data.text.decontamination.overlap import RUN, SHORTEST, Overlap, words

LONG = "The quick brown fox jumps over the lazy dog, and then it sleeps for a whole long day."
SHORT = "Why do big dogs sleep?"
MIDDLE = "What is the number of legs of two spiders?"


def test_words_are_what_remains_without_punctuation_and_case():
    assert words("Don't STOP_here: 3.5% of «Größe» 漢字!") == [
        "don",
        "t",
        "stop",
        "here",
        "3",
        "5",
        "of",
        "größe",
        "漢字",
    ]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (LONG, True),
        ("He said: the QUICK brown fox -- jumps over the lazy dog and then... it sleeps, he said", True),
        ("quick brown fox jumps over the lazy dog and then it", False),  # eleven words of a long text
        ("the quick brown fox jumps over the lazy cat, and then it sleeps for a whole long night", False),
        ("Question: what is the number of legs of two spiders? Answer: 16", True),
        ("what is the number of legs of three spiders", False),
        ("Why do big dogs sleep?", True),
        ("Riddle.\nwhy do big dogs sleep\nThink first.", True),
        ("I wonder why do big dogs sleep at night", False),  # a short text inside a line
        ("5 5", False),
        ("", False),
    ],
)
def test_what_is_found(text: str, found: bool):
    assert Overlap([LONG, SHORT, MIDDLE, "5 * 5 =", ""]).found_in([text]) == [found]


def test_nothing_is_found_in_nothing_and_by_nothing():
    assert Overlap([]).found_in([LONG, "", SHORT]) == [False] * 3
    assert Overlap([LONG]).found_in([]) == []


@pytest.mark.parametrize("chunk", [1, 40, 1 << 20])
def test_against_sets_of_tuples(chunk: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(overlap, "CHUNK", chunk)
    rng = random.Random(chunk)
    scored = [" ".join(rng.choices("ab", k=rng.randint(0, 30))) for _ in range(40)]
    tried = [" ".join(rng.choices("ab", k=rng.randint(0, 40))) for _ in range(200)]
    tried += ["", "c d e", *scored[:10], f"x {scored[0]} y"]
    runs: set[tuple[str, ...]] = set()
    for text in map(words, scored):
        length = min(len(text), RUN)
        if length >= SHORTEST:
            runs |= {tuple(text[start : start + length]) for start in range(len(text) - length + 1)}
    expected = []
    for text in map(words, tried):
        mine = {tuple(text[i:j]) for i in range(len(text)) for j in range(i + SHORTEST, min(len(text), i + RUN) + 1)}
        expected.append(bool(mine & runs))
    assert 20 < sum(expected) < len(expected) - 20
    assert Overlap(scored).found_in(tried) == expected
