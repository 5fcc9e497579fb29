"""Whether what a cell gives now is what its record says: to the last digit, or within a stated interval.

Where code, libraries, data and machine are the same, only equality counts. Elsewhere a score may differ by chance: by
what the paired differences of the same examples leave open, or, for a score that no examples give, by what the seeds of
its row do.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sparsebench.data.errors import DownloadError, LocalFolderError, OfflineError
from sparsebench.reports.records.record import Metric, Record

from .own_examples import Columns, paired_half_width

Verdict = Literal["equal", "within", "outside", "no data", "contradiction", "gone"]
WORST_FIRST: tuple[Verdict, ...] = ("contradiction", "gone", "no data", "outside", "within", "equal")
NO_DATA = tuple(error.__name__ for error in (OfflineError, DownloadError, LocalFolderError))
Interval = tuple[float, float, str]
"""Low, high, and what it rests on."""
ALONE = "only equality counts"


@dataclass(frozen=True)
class ScoreCheck:
    """One score then and now. `low`, `high` and `basis` say which interval counts; without one, `basis` says why."""

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
    """What differs in status, in the reason of a status, in the examples of equal scores."""


@dataclass(frozen=True)
class Evidence:
    """What there is to judge by in addition to the two records.

    Attributes:
        same: code, libraries, data and machine are those of the record.
        then, now: the examples of the record, and those of what its cell gave now.
        others: records of the same row and task with other seeds.
    """

    same: bool = False
    then: Columns | None = None
    now: Columns | None = None
    others: Sequence[Record] = ()


def judge(record: Record, again: Record, evidence: Evidence) -> Judgement:
    """Compare a record with what its cell gave now."""
    if record.status == "ok" and lacks_data(again):
        return Judgement("no data", reason=str(again.reason))
    if record.status != again.status:
        now = f"{again.status} now ({again.reason})" if again.reason else f"{again.status} now"
        return Judgement("outside", reason=f"{record.status} then, {now}")
    if record.status != "ok":
        reason = ""
        if record.reason != again.reason:
            reason = f"another reason: {again.reason}; then: {record.reason}"
        return Judgement("equal", reason=reason)
    scores = tuple(_scores(record, again, evidence))
    verdict = _worst(scores)
    reason = _other_examples(evidence)
    if reason and evidence.same:
        verdict = "outside"
    return Judgement(verdict, scores, reason)


def lacks_data(record: Record) -> bool:
    """Whether a cell failed because its data are not here: that says nothing of what it scores."""
    return record.status == "failed" and str(record.reason).partition(":")[0] in NO_DATA


def _worst(scores: Sequence[ScoreCheck]) -> Verdict:
    found = {score.verdict for score in scores}
    for verdict in WORST_FIRST:
        if verdict in found:
            return verdict
    return "equal"


def _other_examples(evidence: Evidence) -> str:
    """Which outcomes of examples differ; nothing where there is none of one of them."""
    if evidence.then is None or evidence.now is None:
        return ""
    names = sorted(evidence.then.keys() | evidence.now.keys())
    other = [name for name in names if evidence.then.get(name) != evidence.now.get(name)]
    return f"other outcomes of examples: {', '.join(other)}" if other else ""


def _scores(record: Record, again: Record, evidence: Evidence) -> Iterator[ScoreCheck]:
    """The main score first."""
    names = [*record.metrics, *(name for name in again.metrics if name not in record.metrics)]
    for name in sorted(names, key=lambda name: name != record.main_metric):
        then = record.metrics.get(name)
        now = again.metrics.get(name)
        if then is None or now is None:
            yield ScoreCheck(name, "outside", _value(then), _value(now), basis="it is not in both")
        elif evidence.same:
            yield _exactly(name, then, now)
        elif then.value == now.value:
            yield ScoreCheck(name, "equal", then.value, now.value)
        else:
            yield _near(name, then, now, evidence, _seeds(record, name, evidence.others))


def _exactly(name: str, then: Metric, now: Metric) -> ScoreCheck:
    """Standard error, number of examples and chance count, too."""
    if then == now:
        return ScoreCheck(name, "equal", then.value, now.value)
    basis = f"nothing differs, so that {ALONE}"
    if then.value == now.value:
        basis = "the score is equal, but what is said of it is not (standard error, number of examples, chance, unit)"
    return ScoreCheck(name, "outside", then.value, now.value, basis=basis)


def _near(name: str, then: Metric, now: Metric, evidence: Evidence, seeds: Mapping[int, float]) -> ScoreCheck:
    interval = _paired(name, then, evidence) or _one_more_seed(list(seeds.values()))
    if interval is None:
        return ScoreCheck(name, "outside", then.value, now.value, basis=f"no interval is stated, so that {ALONE}")
    low, high, basis = interval
    verdict: Verdict = "within" if low <= now.value <= high else "outside"
    return ScoreCheck(name, verdict, then.value, now.value, low, high, basis)


def _paired(name: str, then: Metric, evidence: Evidence) -> Interval | None:
    found = paired_half_width(name, evidence.then, evidence.now)
    if found is None:
        return None
    half, basis = found
    return then.value - half, then.value + half, basis


def _one_more_seed(seeds: Sequence[float]) -> Interval | None:
    """95 % for one more seed of a row; None where it has one alone.

    A prediction interval, mean ± t s sqrt(1 + 1/n): the interval of the *mean* over seeds, which the tables show, would
    leave out most of the very seeds that it was made from.
    """
    n = len(seeds)
    if n < 2:
        return None
    mean = math.fsum(seeds) / n
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in seeds) / (n - 1))
    half = _student_t(n - 1) * spread * math.sqrt(1 + 1 / n)
    return mean - half, mean + half, f"not paired by examples; 95 % for one seed, by the {n} seeds of its row"


def _student_t(df: float) -> float:
    """The two-sided 95 % quantile of Student's t."""
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
