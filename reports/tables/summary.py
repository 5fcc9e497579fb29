"""What was found in a suite, in a few sentences written from the statistics and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass

from ..records.record import Costs
from ..statistics import Outcome
from . import formatting
from .comparison import Contrast
from .matrix import Matrix, Row
from .suite_entries import RIVALS, Family
from .suite_table import SuiteInfo, row_name

MAX_NAMES = 4
COSTS: tuple[tuple[str, Callable[[Costs], float | None], bool], ...] = (
    ("active parameters", lambda costs: costs.params_active, False),
    ("size", lambda costs: costs.bytes, False),
    ("latency", lambda costs: costs.latency_ms, True),
)
"""Name, where it comes from, and whether it is a time: these compare within one type of processor only."""
OTHERS: tuple[tuple[Outcome, str], ...] = (
    ("better", "Also better than {baseline}"),
    ("equivalent", "Equivalent to {baseline}"),
    ("identical", "Identical to {baseline}"),
    ("undecided", "Undecided against {baseline}"),
    ("one seed", "One seed, which decides nothing against {baseline}"),
    ("worse", "Worse"),
    ("not comparable", "Not comparable with {baseline}"),
)
"""Outcomes that are told after the best, and how the sentence about them begins."""


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
    """Methods first; a control or a ceiling wins nothing, it is told at the end."""
    ranked = sorted(members, key=lambda contrast: -contrast.difference.combined.mean)
    roles = {contrast.row: info.role(matrix, contrast.row) for contrast in ranked}
    methods = [contrast for contrast in ranked if roles[contrast.row] in RIVALS]
    first = first_of(methods)
    sentences = []
    if first:
        sentences += _of_methods(matrix, methods, first)
    sentences += _best_of_all(matrix, info, family, first, {contrast.row for contrast in methods})
    for role, title in (("control", "Controls"), ("ceiling", "Ceilings")):
        others = [contrast for contrast in ranked if roles[contrast.row] == role]
        if others:
            told = [f"{_named(contrast)}, {_outcome(contrast)}" for contrast in others[:MAX_NAMES]]
            sentences.append(f"{title}: {'; '.join(told)}{_and_more(others)}.")
    return sentences


def best_row(matrix: Matrix, info: SuiteInfo, family: Family) -> Row | None:
    """The baseline or method with the best mean over all tasks of the family; no control or ceiling is the best."""
    rows = [row for row in matrix.rows if info.role(matrix, row) in RIVALS and matrix.complete(row, family.columns)]
    return matrix.best(rows, family.columns)


def first_of(ranked: Sequence[Contrast]) -> Contrast | None:
    """What the first sentence is about: the largest gain that was shown, else the largest that was tested."""
    tested = [contrast for contrast in ranked if contrast.p is not None]
    return next(iter([*_with_outcome(ranked, "better"), *tested, *ranked]), None)


def _of_methods(matrix: Matrix, ranked: Sequence[Contrast], best: Contrast) -> list[str]:
    baseline = best.baseline_row.label
    if best.outcome == "better":
        sentences = [f"{best.name} beats {best.baseline} by {_effect(best)}{cost_in_words(matrix, best)}."]
    else:
        shown = "beats"
        if best.outcome in ("undecided", "one seed"):  # nothing was shown, which is not to say that none beats it
            shown = "is shown to beat"
        told = _outcome(best)
        if best.outcome == "worse":
            told = "the closest"
        cost = cost_in_words(matrix, best)
        sentences = [f"No method {shown} {best.baseline}; {told}: {best.name}, {_effect(best)}{cost}."]
    for outcome, title in OTHERS:
        others = [contrast for contrast in _with_outcome(ranked, outcome) if contrast is not best]
        if others:
            begin = title.format(baseline=baseline)
            if outcome == "equivalent":
                begin += f" (within {_margin(others[0])})"
            sentences.append(f"{begin}: {_names(others)}.")
    return sentences


def _with_outcome(contrasts: Sequence[Contrast], outcome: Outcome) -> list[Contrast]:
    return [contrast for contrast in contrasts if contrast.outcome == outcome]


def _outcome(contrast: Contrast) -> str:
    return formatting.outcome(contrast.outcome, contrast.difference.margin, contrast.unit)


def _margin(contrast: Contrast) -> str:
    margin = contrast.difference.margin or 0.0
    return f"±{formatting.number(margin, contrast.unit)} {formatting.points(contrast.unit)}"


def _best_of_all(
    matrix: Matrix, info: SuiteInfo, family: Family, named: Contrast | None, compared: Container[Row]
) -> list[str]:
    """Names the row with the best score, if the first sentence does not: gains are over the baseline of a backbone."""
    best = best_row(matrix, info, family)
    if best is None or info.role(matrix, best) == "baseline" or (named is not None and named.row == best):
        return []
    unit = family.columns[0].unit
    mean = matrix.mean(best, family.columns).mean
    score = f"{formatting.number(mean, unit)} {formatting.shown_unit(unit)}".strip()
    name = row_name(matrix, best)
    if best not in compared:
        name += ", which has no baseline to pair it with"
    return [f"The best score of all, {score}, is that of {name}."]


def _effect(contrast: Contrast) -> str:
    """The size of a difference and how sure it is: "+4.1 [2.0, 6.2] points (p = 0.012, 3 seeds × 4 tasks)"."""
    difference = contrast.difference
    size = formatting.effect(difference.estimate, contrast.unit)
    replicas = f"{_plural(contrast.seeds, 'seed')} × {_plural(difference.tasks, 'task')}"
    if difference.lost:
        replicas += f", {_plural(difference.lost, 'pair')} lost"
    if difference.estimate.covers != "none":
        replicas += f", interval over {difference.estimate.covers}"
    return f"{size} ({_sureness(contrast)}, {replicas})"


def _sureness(contrast: Contrast) -> str:
    p = contrast.p
    if contrast.outcome == "one seed":
        return "no p from one seed"
    if p is None:
        return contrast.difference.reason or "no measure of spread"
    text = formatting.p_value(p)
    if text.startswith("<"):
        return f"p {text}"
    return f"p = {text}"


def cost_in_words(matrix: Matrix, contrast: Contrast) -> str:
    """What the row costs relative to the baseline, as far as both were measured; times on one type of processor."""
    percents: dict[str, float] = {}
    for name, quantity, timed in COSTS:
        processors: tuple[str | None, ...] = (None,)
        if timed:
            processors = matrix.processors
        for processor in processors:
            ours = matrix.cost(contrast.row, quantity, processor)
            theirs = matrix.cost(contrast.baseline_row, quantity, processor)
            if ours is not None and theirs:
                # The first type of processor is the one with the most rows: further ones fill in where it has none.
                percents.setdefault(name, 100 * ours / theirs)
    # What would be printed as 100 % is nothing to tell of.
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
    if times < 100:
        return f"{times:.2g} ×"
    return f"{times:.0f} ×"  # two figures would become "1.2e+02 ×"


def _names(contrasts: Sequence[Contrast]) -> str:
    return ", ".join(map(_named, contrasts[:MAX_NAMES])) + _and_more(contrasts)


def _named(contrast: Contrast) -> str:
    size = formatting.number(contrast.difference.combined.mean, contrast.unit, signed=True)
    if contrast.other_backbone:
        size += f" to {contrast.baseline}"
    return f"{contrast.name} ({size})"


def _and_more(contrasts: Sequence[Contrast]) -> str:
    more = len(contrasts) - MAX_NAMES
    if more <= 0:
        return ""
    return f" and {more} more"


def _plural(count: int, noun: str) -> str:
    if count != 1:
        noun += "s"
    return f"{count} {noun}"
