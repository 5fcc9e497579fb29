"""Scores of several draws as one, and changes, with their examples."""

import numpy as np
import pytest

from sparsebench.reports.statistics import ExampleScores, Score, change, mean_score


def score(values, same=0.0):
    values = np.array(values, dtype=float)
    kept = ExampleScores(values, np.zeros(len(values), dtype=int), (1.0,), np.full(len(values), same))
    return Score(float(values.mean()), 0.5, read=lambda: kept)


def test_a_mean_and_a_change_are_those_of_every_example():
    first, second = score([1, 2, 6]), score([3, 2, 1])
    mean = mean_score([first, second, score([2, 2, 2])])
    assert mean.value == pytest.approx(7 / 3)
    assert mean.read is not None and mean.read().values.tolist() == [2, 2, 3]
    lost = change(first, second)
    assert (lost.value, lost.stderr) == (1.0, 1.0)
    assert lost.read is not None and lost.read().values.tolist() == [-2, 0, 5]
    assert mean_score([first]) is first
    own = Score(1.0, 0.5, overlap=0.1)
    assert mean_score([own, own]).overlap == change(own, first).overlap == 0.1 and lost.overlap is None


def test_other_examples_leave_the_scores_alone():
    mean, lost = mean_score([score([1, 2]), score([3, 4], same=1)]), change(score([1, 2]), Score(1.0))
    assert (mean.value, mean.stderr, lost.value, lost.stderr) == (2.5, 0.5, 0.5, None)
    assert mean.read is not None and mean.read() is None
    assert lost.read is not None and lost.read() is None
