"""Which words change places."""

import numpy as np
import pytest

from sparsebench.data.labelled import word_order
from sparsebench.data.labelled.table import LabelledTexts

SENTENCE = "Nobody {} would ever call the slow old film dull"
SENTENCES = [SENTENCE.format(f"of{letter * count}") for letter in "abcdefgh" for count in range(1, 6)]


def give(monkeypatch: pytest.MonkeyPatch, texts: list[str]) -> LabelledTexts:
    snippets = LabelledTexts(texts=tuple(texts), targets=np.zeros((len(texts), 1)))
    monkeypatch.setattr(word_order, "movie_snippet_scores", lambda: snippets)
    return word_order.word_order()


def test_two_inner_neighbours_are_exchanged_in_about_half_of_the_sentences(monkeypatch: pytest.MonkeyPatch) -> None:
    table = give(monkeypatch, SENTENCES)
    places = set()
    for before, after, target in zip(SENTENCES, table.texts, table.targets, strict=True):
        old, new = before.split(), str(after).split()
        changed = [at for at in range(len(old)) if old[at] != new[at]]
        assert len(changed) == (2 if table.classes[target] == "exchanged" else 0)
        if changed:
            first, second = changed
            assert second == first + 1 and (old[first], old[second]) == (new[second], new[first])
            places.add(first)
    assert 10 <= int(table.targets.sum()) <= 30 and min(places) == 1 and max(places) == 7


def test_what_depends_on_no_other_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    few = give(monkeypatch, SENTENCES[::-4])
    every = dict(zip(SENTENCES, give(monkeypatch, SENTENCES).texts, strict=True))
    assert list(few.texts) == [every[text] for text in SENTENCES[::-4]]


def test_sentences_without_two_plain_words_are_in_neither_class(monkeypatch: pytest.MonkeyPatch) -> None:
    short, long = "It is not good", "a " + "word other " * 14
    bare = "It's Wasabi's best-known , Jean-Luc ."
    alike = "The very very very very End"
    table = give(monkeypatch, [short, long, bare, alike, *SENTENCES])
    assert len(table) == len(SENTENCES)
