"""What was found in a suite, in a few sentences written from the statistics and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from . import formatting
from .comparison import Contrast
from .matrix import Matrix, Row
from .record import Costs
from .statistics import Outcome, estimate_mean
from .tables import Family, SuiteInfo, row_name

MAX_NAMES = 4
COSTS: tuple[tuple[str, Callable[[Costs], float | None]], ...] = (
    ("active parameters", lambda costs: costs.params_active),
    ("size", lambda costs: costs.bytes),
    ("latency", lambda costs: costs.latency_ms),
)


@dataclass(frozen=True)
class Summary:
    """What was found on one family of tasks."""

    subject: str
    text: str


def summaries(matrix: Matrix, info: SuiteInfo, found: Sequence[Contrast]) -> list[Summary]:
    """One summary per family: who is best against the baseline, by how much, how sure, at what cost."""
    labels = info.baselines(matrix)
    known = {row.label for row in matrix.rows}
    told = []
    for label in labels:
        if label not in known:
            told.append(Summary("Baseline missing", f"{label} was not run, so nothing is compared with it."))
    if not found and not told:
        return [Summary("Nothing to compare", f"No row but {' and '.join(labels)} has scores.")]
    for family in info.families(matrix):
        members = [contrast for contrast in found if contrast.family == family.name]
        if members:
            text = " ".join(_sentences(matrix, info, family, members))
            told.append(Summary(f"On {family.name.replace('_', ' ')}", text))
    return told


def _sentences(matrix: Matrix, info: SuiteInfo, family: Family, members: Sequence[Contrast]) -> list[str]:
    """Methods first; a control wins nothing, it is told at the end."""
    ranked = sorted(members, key=lambda contrast: -contrast.difference.estimate.mean)
    methods = [contrast for contrast in ranked if info.role(matrix, contrast.row) != "control"]
    controls = [contrast for contrast in ranked if contrast not in methods]
    sentences = _of_methods(matrix, methods) if methods else []
    uncompared = _uncompared_best(matrix, info, family, members)
    if uncompared:
        sentences.append(uncompared)
    if controls:
        told = [f"{_named(contrast)}, {contrast.outcome}" for contrast in controls[:MAX_NAMES]]
        sentences.append(f"Controls: {'; '.join(told)}{_and_more(controls)}.")
    return sentences


def _of_methods(matrix: Matrix, ranked: Sequence[Contrast]) -> list[str]:
    better = _with_outcome(ranked, "better")
    same = _with_outcome(ranked, "same")
    worse = _with_outcome(ranked, "worse")
    baseline = ranked[0].baseline
    if better:
        best = better[0]
        sentences = [f"{best.name} beats {baseline} by {_effect(best)}{_cost(matrix, best)}."]
        if better[1:]:
            sentences.append(f"Also better than {baseline}: {_names(better[1:])}.")
    else:
        best = (same or worse or ranked)[0]
        told = "the closest"
        if best.outcome == "same":
            told = "the best other cannot be distinguished from it"
        sentences = [f"No method beats {baseline}; {told}: {best.name}, {_effect(best)}{_cost(matrix, best)}."]
    others = [contrast for contrast in same if contrast is not best]
    if others:
        sentences.append(f"Not distinguishable from {baseline}: {_names(others)}.")
    others = [contrast for contrast in worse if contrast is not best]
    if others:
        sentences.append(f"Worse: {_names(others)}.")
    return sentences


def _with_outcome(contrasts: Sequence[Contrast], outcome: Outcome) -> list[Contrast]:
    return [contrast for contrast in contrasts if contrast.outcome == outcome]


def _uncompared_best(matrix: Matrix, info: SuiteInfo, family: Family, members: Sequence[Contrast]) -> str:
    """Names the row with the best score of all, if it has no baseline on its backbone and so stands in no contrast."""
    means: dict[Row, float] = {}
    for row in matrix.rows:
        if matrix.complete(row, family.columns) and info.role(matrix, row) != "control":
            scores = [list(matrix.scores(row, column).values()) for column in family.columns]
            means[row] = estimate_mean(scores).mean
    first = family.columns[0]
    choose = max if first.higher_is_better else min
    best = choose(means, key=lambda row: means[row], default=None)
    compared = {contrast.row for contrast in members}
    if best is None or best in compared or info.role(matrix, best) == "baseline":
        return ""
    score = f"{formatting.number(means[best], first.unit)} {formatting.shown_unit(first.unit)}".strip()
    return (
        f"The best score of all, {score}, is that of {row_name(matrix, best)}, which has no baseline to pair it with."
    )


def _effect(contrast: Contrast) -> str:
    """The size of a difference and how sure it is: "+4.1 [2.0, 6.2] points (p = 0.012, 3 seeds × 4 tasks)"."""
    difference = contrast.difference
    size = f"{formatting.interval(difference.estimate, contrast.unit)} {formatting.points(contrast.unit)}".strip()
    replicas = _plural(contrast.seeds, "seed")
    if difference.estimate.source == "examples":
        replicas = "1 seed, interval over test examples"
    return f"{size} ({_sureness(contrast.p)}, {replicas} × {_plural(difference.tasks, 'task')})"


def _sureness(p: float | None) -> str:
    if p is None:
        return "no measure of spread"
    text = formatting.p_value(p)
    return f"p {text}" if text.startswith("<") else f"p = {text}"


def _cost(matrix: Matrix, contrast: Contrast) -> str:
    """What the row costs relative to the baseline, as far as both were measured."""
    baseline = matrix.baseline(contrast.baseline, contrast.row)
    if baseline is None:
        return ""
    percents: dict[str, float] = {}
    for name, quantity in COSTS:
        ours = matrix.cost(contrast.row, quantity)
        theirs = matrix.cost(baseline, quantity)
        if ours is not None and theirs:
            percents[name] = 100 * ours / theirs
    different = [f"{_relative(percent)} its {name}" for name, percent in percents.items() if round(percent) != 100]
    if not percents:
        return ""
    if not different:
        return ", at equal cost"
    *others, last = different
    if not others:
        return f", at {last}"
    return f", at {', '.join(others)} and {last}"


def _relative(percent: float) -> str:
    times = percent / 100
    if times < 2:
        return f"{percent:.0f} % of"
    return f"{times:.2g} ×" if times < 100 else f"{times:.0f} ×"


def _names(contrasts: Sequence[Contrast]) -> str:
    return ", ".join(map(_named, contrasts[:MAX_NAMES])) + _and_more(contrasts)


def _named(contrast: Contrast) -> str:
    mean = contrast.difference.estimate.mean
    return f"{contrast.name} ({formatting.number(mean, contrast.unit, signed=True)})"


def _and_more(contrasts: Sequence[Contrast]) -> str:
    more = len(contrasts) - MAX_NAMES
    return f" and {more} more" if more > 0 else ""


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
