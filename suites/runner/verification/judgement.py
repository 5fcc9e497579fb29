"""Whether what a cell gives now is what its record says: to the last digit, or within a stated interval."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.reports.record import Metric, Record

Verdict = Literal["equal", "within", "outside", "gone"]
WORST_FIRST: tuple[Verdict, ...] = ("gone", "outside", "within", "equal")


@dataclass(frozen=True)
class ScoreCheck:
    """One score then and now. `low`, `high` and `basis` say which interval counts; None: equality alone counts."""

    name: str
    verdict: Verdict
    then: float | None
    now: float | None
    low: float | None = None
    high: float | None = None
    basis: str = ""


@dataclass(frozen=True)
class Judgement:
    """What becomes of a record: the worst of its scores, or its status if that is another one."""

    verdict: Verdict
    scores: tuple[ScoreCheck, ...] = ()
    reason: str = ""
    """What differs in status or in the reason of a status."""


def judge(record: Record, again: Record, others: Sequence[Record] = ()) -> Judgement:
    """Compare a record with what its cell gave now.

    Args:
        record: as it was made.
        again: what the same cell gave now.
        others: records of the same row and task with other seeds, for scores without a standard error.
    """
    if record.status != again.status:
        now = f"{again.status} now ({again.reason})" if again.reason else f"{again.status} now"
        return Judgement("outside", reason=f"{record.status} then, {now}")
    if record.status != "ok":
        reason = ""
        if record.reason != again.reason:
            reason = f"another reason: {again.reason}; then: {record.reason}"
        return Judgement("equal", reason=reason)
    scores = tuple(_scores(record, again, others))
    return Judgement(_worst(scores), scores)


def _worst(scores: Sequence[ScoreCheck]) -> Verdict:
    found = {score.verdict for score in scores}
    for verdict in WORST_FIRST:
        if verdict in found:
            return verdict
    return "equal"


def _scores(record: Record, again: Record, others: Sequence[Record]) -> Iterator[ScoreCheck]:
    """The main score first."""
    names = [*record.metrics, *(name for name in again.metrics if name not in record.metrics)]
    for name in sorted(names, key=lambda name: name != record.main_metric):
        then = record.metrics.get(name)
        now = again.metrics.get(name)
        if then is None or now is None:
            yield ScoreCheck(name, "outside", _value(then), _value(now))
        elif then.value == now.value:
            yield ScoreCheck(name, "equal", then.value, now.value)
        else:
            yield _near(name, then, now, _seeds(record, name, others))


def _near(name: str, then: Metric, now: Metric, seeds: Mapping[int, float]) -> ScoreCheck:
    interval = _interval(then, list(seeds.values()))
    if interval is None:
        return ScoreCheck(name, "outside", then.value, now.value)
    low, high, basis = interval
    verdict: Verdict = "outside"
    if low <= now.value <= high:
        verdict = "within"
    return ScoreCheck(name, verdict, then.value, now.value, low, high, basis)


def _interval(then: Metric, seeds: Sequence[float]) -> tuple[float, float, str] | None:
    """95 % around the score: from its standard error over test examples; else that of one more seed of its row.

    The second is a prediction interval, mean ± t s sqrt(1 + 1/n): the interval of the *mean* over seeds, which the
    tables show, would leave out most of the very seeds that it was made from.
    """
    if then.stderr is not None:
        half = _student_t(math.inf) * then.stderr
        return then.value - half, then.value + half, "95 % over test examples"
    n = len(seeds)
    if n < 2:
        return None
    mean = math.fsum(seeds) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in seeds) / (n - 1))
    half = _student_t(n - 1) * spread * math.sqrt(1 + 1 / n)
    return mean - half, mean + half, f"95 % for one seed, by the {n} seeds of its row"


def _student_t(df: float) -> float:
    """The two-sided 95 % quantile of Student's t, of the normal distribution where `df` is infinite."""
    from scipy.stats import t

    return float(t.ppf(0.975, df))


def _seeds(record: Record, name: str, others: Sequence[Record]) -> dict[int, float]:
    found = {}
    for other in (record, *others):
        if other.status == "ok" and name in other.metrics:
            found[other.cell.seed] = other.metrics[name].value
    return found


def _value(metric: Metric | None) -> float | None:
    return None if metric is None else metric.value
