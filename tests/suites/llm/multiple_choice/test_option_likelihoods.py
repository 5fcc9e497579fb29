"""Likelihoods of options beside an accuracy, by hand."""

import math

import pytest

from sparsebench.reports.panels.option_scores import PANEL
from sparsebench.reports.statistics.examples import example_scores
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.llm.multiple_choice.option_likelihoods import with_options, with_options_of_sets

FOUND = Scores("accuracy", {}, {"correct": [1, 0]}, {"other": 1})
SCORES = [[math.log(3.0), 0.0], [-1.0, -1.0, 1.0, -1.0]]


def test_two_questions_by_hand() -> None:
    found = with_options(FOUND, SCORES, [0, 1])
    second = math.log(3 * math.exp(-1) + math.exp(1)) + 1
    assert found.examples["gold_nll"] == pytest.approx([math.log(4 / 3), second])
    assert found.examples["margin"] == pytest.approx([math.log(3.0), -2.0])
    metric = found.metrics["gold_nll"]
    assert metric.value == pytest.approx((math.log(4 / 3) + second) / 2)
    assert metric.stderr == pytest.approx(abs(second - math.log(4 / 3)) / 2)
    assert metric.chance == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert (found.main, found.examples["correct"], found.details["other"]) == ("accuracy", [1, 0], 1)


def test_the_record_gives_the_score_back_by_question() -> None:
    found = with_options(FOUND, SCORES, [0, 1])
    for name in ("gold_nll", "margin"):
        assert example_scores(name, found.metrics[name].value, found.examples) is not None
    kept = PANEL.parse(found.details[PANEL.key])
    assert kept.gold == (0, 1)
    for options, scores in zip(kept.scores, SCORES, strict=True):
        assert options == pytest.approx(scores, rel=1e-4)


def test_sets_of_questions_together() -> None:
    """As if all questions were of one set; a set without options is left out."""
    parts = [with_options(FOUND, SCORES[:1], [0]), FOUND, with_options(FOUND, SCORES[1:], [1])]
    whole, found = with_options(FOUND, SCORES, [0, 1]), with_options_of_sets(FOUND, parts)
    assert (found.examples, found.details) == (whole.examples, whole.details)
    for name in ("gold_nll", "margin"):
        assert found.metrics[name].value == pytest.approx(whole.metrics[name].value)
        assert found.metrics[name].stderr == pytest.approx(whole.metrics[name].stderr)
        assert found.metrics[name].chance == pytest.approx(whole.metrics[name].chance)
    assert with_options_of_sets(FOUND, [FOUND]) is FOUND


def test_one_continuation_leaves_nothing_to_compare() -> None:
    assert with_options(FOUND, [[-1.0], [-2.0]], [0, 0]) is FOUND
