"""Trials that are written down when they have ended, and taken up as they were."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Metric
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.prediction.trials import Trial, keep, take_up

SCORE = Metric(value=0.1 + 0.2, stderr=1 / 3, n=15, higher_is_better=True, chance=0.5, unit="share")
ENDED = Trial(
    options={"penalties": (0.1,)},
    chain=[LinearProbe()],
    score=SCORE,
    took={"seconds": 1e-7, "flops": None},
    examples={"correct": [1, 0]},
)


@pytest.mark.parametrize("ended", [ENDED, replace(ENDED, score=None, reason="loss is nan", took={}, examples={})])
def test_as_it_was_to_the_last_digit(ended: Trial, tmp_path: Path):
    (tmp_path / "trial 3" / "model").mkdir(parents=True)
    keep(ended, tmp_path / "trial 3")
    assert [file.name for file in tmp_path.iterdir()] == ["trial 3.json"], "its checkpoints are of no more use"
    again = Trial(options=ended.options, chain=ended.chain)
    assert take_up(again, tmp_path / "trial 3") and again == ended


def test_nothing_is_taken_up_that_is_not_this_trial(tmp_path: Path):
    folder = tmp_path / "trial 3"
    trial = Trial(options=ENDED.options, chain=ENDED.chain)
    assert not take_up(trial, folder) and not take_up(trial, None)
    keep(ENDED, None)
    keep(ENDED, folder)
    assert not take_up(replace(trial, options={"penalties": (0.2,)}), folder)
    file = tmp_path / "trial 3.json"
    file.write_text(file.read_text()[:-5])
    assert not take_up(trial, folder) and trial.score is None


def test_the_better_of_two():
    worse = replace(ENDED, score=replace(SCORE, value=0.2))
    assert ENDED.better_than(worse) and not worse.better_than(ENDED) and not ENDED.better_than(ENDED)
    less = replace(SCORE, higher_is_better=False)
    assert replace(ENDED, score=replace(less, value=0.2)).better_than(replace(ENDED, score=less))
    assert ENDED.better_than(replace(ENDED, score=None)) and not replace(ENDED, score=None).better_than(ENDED)
