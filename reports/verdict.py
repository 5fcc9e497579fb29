"""The verdict of a suite in a few sentences, written from the statistics and from nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from . import formatting
from .comparison import Contrast
from .matrix import Matrix
from .record import Costs
from .tables import SuiteInfo

MAX_NAMES = 4


@dataclass(frozen=True)
class Verdict:
    """What was found on one family of tasks."""

    subject: str
    text: str


def verdicts(matrix: Matrix, info: SuiteInfo, found: Sequence[Contrast]) -> list[Verdict]:
    """One verdict per family: who is best against the baseline, by how much, how sure, at what cost."""
    labels = info.baselines(matrix)
    missing = [label for label in labels if not any(row.label == label for row in matrix.rows)]
    told = [Verdict("Baseline missing", f"{label} was not run, so nothing is compared with it.") for label in missing]
    if not found and not missing:
        return [Verdict("Nothing to compare", f"No row but {' and '.join(labels)} has scores.")]
    groups = groupby(found, key=lambda contrast: contrast.family)
    return told + [_family(matrix, family, list(members)) for family, members in groups]


def _family(matrix: Matrix, family: str, members: list[Contrast]) -> Verdict:
    ranked = sorted(members, key=lambda c: -c.difference.estimate.mean)
    better, same, worse = ([c for c in ranked if c.verdict == verdict] for verdict in ("better", "same", "worse"))
    unsure = [c for c in ranked if c.verdict == "not comparable"]
    baseline = members[0].baseline
    if better:
        sentences = [f"{better[0].name} beats {baseline} by {_effect(better[0])}{_cost(matrix, better[0])}."]
        sentences += [f"Also better than {baseline}: {_names(better[1:])}."] if better[1:] else []
    else:
        best = (same or worse or unsure)[0]
        told = "the best other cannot be told from it" if best.verdict == "same" else "the closest"
        effect = f"{best.name}, {_effect(best)}{_cost(matrix, best)}"
        sentences = [f"No method beats {baseline}; {told}: {effect}."]
        same = [c for c in same if c is not best]
        worse = [c for c in worse if c is not best]
    sentences += [f"Not to be told from {baseline}: {_names(same)}."] if same else []
    sentences += [f"Worse: {_names(worse)}."] if worse else []
    return Verdict(f"On {family.replace('_', ' ')}", " ".join(sentences))


def _effect(contrast: Contrast) -> str:
    d = contrast.difference
    unit = formatting.points(contrast.unit)
    size = f"{formatting.interval(d.estimate, contrast.unit)} {unit}".strip()
    p = formatting.p_value(contrast.p)
    sure = "no measure of spread" if contrast.p is None else f"p {p}" if p.startswith("<") else f"p = {p}"
    replicas = (
        "1 seed, interval over test examples" if d.estimate.source == "examples" else _plural(contrast.seeds, "seed")
    )
    return f"{size} ({sure}, {replicas} × {_plural(d.tasks, 'task')})"


def _cost(matrix: Matrix, contrast: Contrast) -> str:
    """What the row costs relative to the baseline, as far as both were measured."""
    baseline = matrix.baseline(contrast.baseline, contrast.row)
    shares = []
    for name, quantity in (("active parameters", _active), ("size", _bytes), ("latency", _latency)):
        ours = matrix.cost(contrast.row, quantity)
        theirs = matrix.cost(baseline, quantity) if baseline else None
        if ours is not None and theirs:
            shares.append((name, 100 * ours / theirs))
    different = [f"{_share(share)} its {name}" for name, share in shares if round(share) != 100]
    if not different:
        return ", at equal cost" if shares else ""
    return f", at {' and '.join([', '.join(different[:-1]), different[-1]] if different[:-1] else different)}"


def _share(percent: float) -> str:
    times = percent / 100
    return f"{percent:.0f} % of" if times < 2 else f"{times:.2g} ×" if times < 100 else f"{times:.0f} ×"


def _active(costs: Costs) -> float | None:
    return costs.params_active


def _bytes(costs: Costs) -> float | None:
    return costs.bytes


def _latency(costs: Costs) -> float | None:
    return costs.latency_ms


def _names(contrasts: Sequence[Contrast]) -> str:
    named = [f"{c.name} ({formatting.number(c.difference.estimate.mean, c.unit, signed=True)})" for c in contrasts]
    more = len(named) - MAX_NAMES
    return ", ".join(named[:MAX_NAMES]) + (f" and {more} more" if more > 0 else "")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
