"""What counts as reproduced: equality, or a stated interval."""

import math
from dataclasses import replace

import pytest

from sparsebench.reports.records.record import Metric, Record
from sparsebench.suites.runner.verification.judgement import Evidence, Judgement
from sparsebench.suites.runner.verification.judgement import judge as judge_by
from sparsebench.suites.runner.verification.own_examples import Columns

from .. import cells


def metric(value: float, stderr: float | None = None) -> Metric:
    return Metric(value=value, stderr=stderr, n=100, higher_is_better=True, unit="share")


def record(*scores: Metric, status: str = "ok", reason: str | None = None, seed: int = 0) -> Record:
    metrics = {f"score {number}": score for number, score in enumerate(scores)}
    main = "score 0" if metrics else None
    cell = replace(cells.INFO, seed=seed)
    return cells.record(cell=cell, status=status, reason=reason, metrics=metrics, main_metric=main)


def judge(then: Record, now: Record, others: list[Record] | None = None) -> Judgement:
    """Where something differs, and no examples are kept."""
    return judge_by(then, now, Evidence(others=others or []))


def outcomes(*values: float) -> Columns:
    return {"score 0": list(values)}


def test_equal_to_the_last_digit() -> None:
    found = judge(record(metric(0.1 + 0.2)), record(metric(0.1 + 0.2)))
    assert found.verdict == "equal" and found.scores[0].basis == ""


def test_data_that_are_not_here_say_nothing_of_a_score() -> None:
    then = record(metric(0.5))
    for error in ("OfflineError", "DownloadError", "LocalFolderError"):
        found = judge(then, record(status="failed", reason=f"{error}: a file"))
        assert found == Judgement("no data", reason=f"{error}: a file")
    assert judge(then, record(status="failed", reason="ValueError: OfflineError: a file")).verdict == "outside"
    failed = record(status="failed", reason="OfflineError: a file")
    assert judge(failed, failed).verdict == "equal", "it failed so then, too"


def test_where_nothing_differs_only_equality_counts() -> None:
    """Audit: a score lowered by 1.5 standard errors lay within an interval, though the same cell scores the same."""
    same = Evidence(same=True, others=[record(metric(value), seed=seed) for seed, value in enumerate((0.4, 0.5, 0.6))])
    (score,) = judge_by(record(metric(0.5, 0.01)), record(metric(0.5 + 1e-15, 0.01)), same).scores
    assert (score.verdict, score.low) == ("outside", None)
    assert score.basis == "nothing differs, so that only equality counts"
    (score,) = judge_by(record(metric(0.5, 0.01)), record(metric(0.5, 0.02)), same).scores
    assert score.verdict == "outside" and "standard error" in score.basis
    assert judge_by(record(metric(0.5, 0.01)), record(metric(0.5, 0.01)), same).verdict == "equal"


def test_the_examples_behind_an_equal_score_count_too() -> None:
    then, now = outcomes(0, 1, 1), outcomes(1, 1, 0)
    for same, verdict in ((True, "outside"), (False, "equal")):
        found = judge_by(record(metric(2 / 3)), record(metric(2 / 3)), Evidence(same, then, now))
        assert (found.verdict, found.reason) == (verdict, "other outcomes of examples: score 0")


def test_elsewhere_the_paired_differences_state_an_interval() -> None:
    """One of 64 answers changed: that may be. Four, all to the better, may not, though 1.5 standard errors are more."""
    then = [0.0] * 32 + [1.0] * 32
    for flips, verdict in ((1, "within"), (3, "within"), (4, "outside")):
        now = [1.0] * flips + then[flips:]
        evidence = Evidence(then=outcomes(*then), now=outcomes(*now))
        (score,) = judge_by(record(metric(0.5, 0.0625)), record(metric(0.5 + flips / 64, 0.0625)), evidence).scores
        assert (score.verdict, score.basis) == (verdict, "95 % over the paired differences of 64 examples")


def test_without_examples_the_seeds_of_the_row_do() -> None:
    others = [record(metric(value), seed=seed) for seed, value in enumerate((1.0, 2.0, 3.0))]
    half = 4.302652729749464 * math.sqrt(4 / 3)
    for now, verdict in ((2 + 0.99 * half, "within"), (2 + 1.01 * half, "outside")):
        (score,) = judge(others[0], record(metric(now)), others).scores
        assert (
            score.verdict == verdict
            and score.basis == "not paired by examples; 95 % for one seed, by the 3 seeds of its row"
        )
        assert score.high == pytest.approx(2 + half)


def test_the_seeds_of_a_row_lie_within_the_interval_that_they_make() -> None:
    """An interval of the mean over seeds would not do: with ten seeds most of them lie outside of it."""
    values = [0.70, 0.72, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84, 0.86, 0.88]
    others = [record(metric(value), seed=seed) for seed, value in enumerate(values)]
    for value in values[1:]:
        assert judge(others[0], record(metric(value)), others).verdict == "within"


@pytest.mark.parametrize("others", [[], [record(metric(0.5))], [record(status="failed", reason="r", seed=1)]])
def test_without_any_of_them_only_equality_counts(others: list[Record]) -> None:
    (score,) = judge(record(metric(0.5)), record(metric(0.5 + 1e-15)), others).scores
    assert (score.verdict, score.low) == ("outside", None)
    assert score.basis == "no interval is stated, so that only equality counts"


def test_the_worst_score_decides_and_one_that_is_missing_is_outside() -> None:
    then = record(metric(0.5, 0.01), metric(0.7, 0.01))
    near = Evidence(then={"score 1": [0, 1, 1, 1]}, now={"score 1": [1, 1, 1, 1]})
    assert judge_by(then, record(metric(0.5), metric(0.95)), near).verdict == "within"
    found = judge(then, record(metric(0.5)))
    assert found.verdict == "outside"
    assert [(score.name, score.now) for score in found.scores] == [("score 0", 0.5), ("score 1", None)]
    assert judge(record(metric(0.5)), then).verdict == "outside", (
        "a score that was not there is no reproduction, either"
    )


def test_how_a_cell_ended_counts_too() -> None:
    failed = record(status="failed", reason="RuntimeError: the toy broke")
    assert judge(failed, failed).verdict == "equal" and judge(failed, failed).reason == ""
    other = judge(failed, replace(failed, reason="KeyError: 'x'"))
    assert other.verdict == "equal" and "another reason: KeyError: 'x'" in other.reason
    ended = judge(failed, record(metric(0.5)))
    assert ended.verdict == "outside" and ended.reason == "failed then, ok now"
    ended = judge(record(metric(0.5)), replace(failed, status="oom"))
    assert ended.reason == "ok then, oom now (RuntimeError: the toy broke)"
