"""What was found on one family of tasks, in words written from outcomes and intervals and from nothing else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..records.record import Costs
from . import formatting
from .brief import Brief, BriefLine
from .comparison import Contrast
from .matrix import Matrix
from .suite_entries import RIVALS

MAX_NAMES = 4
SURENESS = {"better": 0, "equivalent": 1, "worse": 2}
"""Which first outcome a reader learns most from; what decides nothing comes last."""
COSTS: tuple[tuple[str, Callable[[Costs], float | None], bool], ...] = (
    ("active parameters", lambda costs: costs.params_active, False),
    ("size", lambda costs: costs.bytes, False),
    ("latency", lambda costs: costs.latency_ms, True),
)
"""Name, where it comes from, and whether it is a time: these compare within one type of processor only."""


@dataclass(frozen=True)
class Summary:
    """What was found on one family of tasks; controls and ceilings are neither counted nor named before `others`.

    `title`: a few words. `short`: the effect of the first row with its interval; `sentence`: how sure and at what cost,
    too. `others`: the best score of all where that is another row's, then controls and ceilings. `counts`: outcome to
    number of methods. `rank`: the lower, the more a reader learns.
    """

    title: str
    short: str
    sentence: str
    others: str
    counts: dict[str, int]
    rank: int


def summary(matrix: Matrix, brief: Brief) -> Summary:
    """Who is best against the baseline, by how much, how sure, at what cost.

    Args:
        matrix: the records of the suite.
        brief: the rows of the family.

    Returns:
        The first row is the method with the largest gain that was shown, else with the largest that was tested.
    """
    ranked = [one for one in brief.lines if one.contrast is not None]
    ranked.sort(key=lambda one: -_contrast(one).difference.combined.mean)  # the largest gain first
    methods = [one for one in ranked if one.line.role in RIVALS]
    best = best_line(matrix, brief)
    others = " ".join(_of_role(brief, ranked, role) for role in ("control", "ceiling")).strip()
    first = _first_of(methods)
    if first is None:
        return _alone(matrix, brief, best, others)
    contrast = _contrast(first)
    counts = dict(Counter(_contrast(one).difference.outcome for one in methods))
    labels = {_contrast(one).baseline_row.label for one in methods}
    baseline = contrast.baseline if len(labels) == 1 else "the baselines"
    title, lead = _found(contrast, brief.name(first.line), baseline, counts)
    lead += formatting.effect(contrast.difference.estimate, contrast.unit)
    if not formatting.points(contrast.unit):
        lead += f" in {brief.first.metric}"
    lead += contrast.alone
    sentence = f"{lead} ({_sureness(contrast)}){_cost(matrix, contrast)}."
    if best is not None and best is not first and best.line.row != contrast.baseline_row:
        others = f"{_best_of_all(matrix, brief, best)} {others}".strip()
    rank = SURENESS.get(contrast.difference.outcome, len(SURENESS))
    return Summary(title, f"{lead}.", sentence, others, counts, rank)


def best_line(matrix: Matrix, brief: Brief) -> BriefLine | None:
    """The baseline or method with the best mean over all tasks of the family; no control or ceiling is the best."""
    columns = brief.family.columns
    rivals = {one.line.row: one for one in brief.lines if one.line.role in RIVALS}
    best = matrix.best([row for row in rivals if matrix.complete(row, columns)], columns)
    return None if best is None else rivals[best]


def _contrast(one: BriefLine) -> Contrast:
    assert one.contrast is not None
    return one.contrast


def _first_of(ranked: Sequence[BriefLine]) -> BriefLine | None:
    better = [one for one in ranked if _contrast(one).difference.outcome == "better"]
    tested = [one for one in ranked if _contrast(one).difference.p is not None]
    return next(iter([*better, *tested, *ranked]), None)


def _found(first: Contrast, name: str, baseline: str, counts: dict[str, int]) -> tuple[str, str]:
    """The title, and the sentence up to the effect; `baseline` is what all rows together are compared with."""
    outcome = first.difference.outcome
    if outcome == "better":
        number = counts["better"]
        title = f"{number} of {sum(counts.values())} methods beat {baseline}"
        if number == 1:
            title = f"{name} beats {first.baseline}{first.alone}"
        return title, f"{name} beats {first.baseline} by "
    if set(counts) == {"worse"}:
        return f"Nothing keeps up with {baseline}", f"No method keeps up with {baseline}; the closest: {name}, "
    if outcome == "one seed":
        title = f"One seed decides nothing against {baseline}"
    elif outcome == "equivalent":
        title = f"{counts['equivalent']} as good as {baseline}, none better"
    else:
        title = f"No gain over {baseline} is shown"
    return title, f"No method is shown to beat {baseline}; {_outcome(first)}: {name}, "


def _alone(matrix: Matrix, brief: Brief, best: BriefLine | None, others: str) -> Summary:
    """Without a baseline to compare with, the best score is all there is."""
    if best is None:
        words = "No baseline and no method has a score on all of its tasks."
        return Summary("No score", words, words, others, {}, len(SURENESS) + 2)
    score, name = _score(matrix, brief, best), brief.name(best.line)
    baselines = " or ".join(brief.family.baselines)
    words = f"No method is paired with {baselines} here; the best score is {score}, of {name}."
    if best.line.role == "baseline":
        words = f"No method is paired with {name} here; its score is {score}."
    return Summary("Nothing to compare", words, words, others, {}, len(SURENESS) + 1)


def _score(matrix: Matrix, brief: Brief, one: BriefLine) -> str:
    unit = brief.first.unit
    mean = matrix.mean(one.line.row, brief.family.columns).mean
    return f"{formatting.number(mean, unit)} {formatting.shown_unit(unit)}".strip()


def _best_of_all(matrix: Matrix, brief: Brief, best: BriefLine) -> str:
    """Names the row with the best score, if the first sentence does not: gains are over the baseline of a backbone."""
    name = brief.name(best.line)
    if best.contrast is None and best.line.role != "baseline":
        name += ", which has no baseline to pair it with"
    what = "score of all"
    if len(brief.family.columns) > 1:
        # Rows with a score on some of the tasks may have a higher one there.
        what = f"mean of all {len(brief.family.columns)} tasks"
    return f"The best {what}, {_score(matrix, brief, best)}, is that of {name}."


def _of_role(brief: Brief, ranked: Sequence[BriefLine], role: str) -> str:
    """ "Controls: random (+8.0), better; and 2 more."; empty where there is none."""
    members = [one for one in ranked if one.line.role == role]
    if not members:
        return ""
    told = []
    for one in members[:MAX_NAMES]:
        contrast = _contrast(one)
        size = formatting.number(contrast.difference.combined.mean, contrast.unit, signed=True)
        if contrast.row.backbone != contrast.baseline_row.backbone:
            size += f" to {contrast.baseline}"
        told.append(f"{brief.name(one.line)} ({size}{contrast.alone}), {_outcome(contrast)}")
    if len(members) > MAX_NAMES:
        told.append(f"and {len(members) - MAX_NAMES} more")
    return f"{role.capitalize()}s: {'; '.join(told)}."


def _outcome(contrast: Contrast) -> str:
    return formatting.outcome(contrast.difference.outcome, contrast.difference.margin, contrast.unit)


def _sureness(contrast: Contrast) -> str:
    """ "p = 0.012, 3 seeds × 4 tasks, interval over seeds and examples"."""
    difference = contrast.difference
    p = formatting.p_value(difference.p)
    words = p if p.startswith("<") else f"= {p}"
    parts = [f"p {words}"]
    if difference.outcome == "one seed":
        parts = ["no p from one seed"]
    elif difference.p is None:
        parts = [difference.reason or "no measure of spread"]
    parts.append(f"{formatting.counted(contrast.seeds, 'seed')} × {formatting.counted(difference.tasks, 'task')}")
    if difference.lost:
        parts.append(f"{formatting.counted(difference.lost, 'pair')} lost")
    if difference.estimate.covers != "none":
        parts.append(f"interval over {difference.estimate.covers}")
    return ", ".join(parts)


def _cost(matrix: Matrix, contrast: Contrast) -> str:
    """What the row costs relative to the baseline, as far as both were measured; times on one type of processor."""
    percents: dict[str, float] = {}
    for name, quantity, timed in COSTS:
        for processor in matrix.processors if timed else (None,):
            ratio = matrix.cost_ratio(contrast.row, contrast.baseline_row, quantity, processor)
            if ratio is not None:
                # The first type of processor is the one with the most rows: further ones fill in where it has none.
                percents.setdefault(name, 100 * ratio)
    # What would be printed as 100 % is nothing to tell of.
    different = [f"{_relative(percent)} its {name}" for name, percent in percents.items() if round(percent) != 100]
    if not percents:
        return ""
    if not different and len(percents) < len(COSTS):
        return f", at equal {formatting.listed(list(percents))}"
    if not different:
        return ", at equal cost"
    return f", at {formatting.listed(different)}"


def _relative(percent: float) -> str:
    times = percent / 100
    if times < 2:
        return f"{percent:.0f} % of"
    if times < 100:
        return f"{times:.2g} ×"
    return f"{times:.0f} ×"  # two figures would become "1.2e+02 ×"
