"""What counts as reproduced: equality, or a stated interval."""

import math
from dataclasses import replace

import pytest

from sparsebench.reports.record import Metric, Record
from sparsebench.suites.runner.verification.judgement import judge

from ..cells import INFO


def metric(value: float, stderr: float | None = None) -> Metric:
    return Metric(value=value, stderr=stderr, n=100, higher_is_better=True, unit="share")


def record(*scores: Metric, status: str = "ok", reason: str | None = None, seed: int = 0) -> Record:
    metrics = {f"score {number}": score for number, score in enumerate(scores)}
    return Record(
        id="i",
        key="k",
        code="c",
        cell=replace(INFO, seed=seed),
        status=status,  # type: ignore[arg-type]
        reason=reason,
        metrics=metrics,
        main_metric="score 0" if metrics else None,
        started="2026",
        finished="2026",
    )


def test_equal_to_the_last_digit() -> None:
    found = judge(record(metric(0.1 + 0.2)), record(metric(0.1 + 0.2)))
    assert found.verdict == "equal" and found.scores[0].basis == ""


@pytest.mark.parametrize(("now", "verdict"), [(0.5 + 1.9 * 0.01, "within"), (0.5 + 2.0 * 0.01, "outside")])
def test_the_standard_error_over_test_examples_states_an_interval(now: float, verdict: str) -> None:
    (score,) = judge(record(metric(0.5, 0.01)), record(metric(now, 0.01))).scores
    assert score.verdict == verdict and score.basis == "95 % over test examples"
    assert score.low == pytest.approx(0.4804, abs=1e-5) and score.high == pytest.approx(0.5196, abs=1e-5)


def test_without_a_standard_error_the_seeds_of_the_row_do() -> None:
    others = [record(metric(value), seed=seed) for seed, value in enumerate((1.0, 2.0, 3.0))]
    half = 4.302652729749464 * math.sqrt(4 / 3)
    for now, verdict in ((2 + 0.99 * half, "within"), (2 + 1.01 * half, "outside")):
        (score,) = judge(others[0], record(metric(now)), others).scores
        assert score.verdict == verdict and score.basis == "95 % for one seed, by the 3 seeds of its row"
        assert score.high == pytest.approx(2 + half)


def test_the_seeds_of_a_row_lie_within_the_interval_that_they_make() -> None:
    """An interval of the mean over seeds would not do: with ten seeds most of them lie outside of it."""
    values = [0.70, 0.72, 0.74, 0.76, 0.78, 0.80, 0.82, 0.84, 0.86, 0.88]
    others = [record(metric(value), seed=seed) for seed, value in enumerate(values)]
    for value in values[1:]:
        assert judge(others[0], record(metric(value)), others).verdict == "within"


@pytest.mark.parametrize("others", [[], [record(metric(0.5))], [record(status="failed", reason="r", seed=1)]])
def test_without_either_only_equality_counts(others: list[Record]) -> None:
    (score,) = judge(record(metric(0.5)), record(metric(0.5 + 1e-15)), others).scores
    assert (score.verdict, score.basis, score.low) == ("outside", "", None)


def test_the_worst_score_decides_and_one_that_is_missing_is_outside() -> None:
    then = record(metric(0.5, 0.01), metric(0.7, 0.01))
    assert judge(then, record(metric(0.5), metric(0.705))).verdict == "within"
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
