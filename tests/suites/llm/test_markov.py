"""Procedural text."""

import itertools
from collections import Counter

from sparsebench.suites.llm._markov import ALPHABET, markov_documents


def test_halves_of_the_synthetic_text_differ() -> None:
    assert not set(markov_documents("calibration")) & set(markov_documents("test"))


def test_the_text_is_the_same_each_time_and_its_letters_are_predictable() -> None:
    texts = markov_documents("calibration")
    assert len(texts) == 24 and set("".join(texts)) <= set(ALPHABET)
    followers: dict[str, list[str]] = {}
    for text in texts:
        for letter, following in itertools.pairwise(text):
            followers.setdefault(letter, []).append(following)
    most_likely = [Counter(found).most_common(1)[0][1] / len(found) for found in followers.values()]
    assert sum(most_likely) / len(most_likely) > 3 / len(ALPHABET), "a chain, not letters drawn alike"
