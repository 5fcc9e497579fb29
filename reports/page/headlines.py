"""What a track found, in a title, a sentence and counts: written from outcomes and intervals, never by hand."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from ..tables import formatting
from ..tables.brief import Brief
from ..tables.comparison import Contrast
from ..tables.matrix import Matrix, Row
from ..tables.suite_entries import RIVALS, Family
from ..tables.suite_table import SuiteInfo, row_name
from ..tables.summary import best_row, cost_in_words, first_of

MOST_NAMES = 3
SURENESS = {"better": 0, "equivalent": 1, "worse": 2}
"""Which first outcome a reader learns most from; what decides nothing comes last."""


@dataclass(frozen=True)
class Headline:
    """What a track found.

    `title`: a few words. `short`: the effect with its interval; `sentence`: with the cost. `counts`: outcome to number
    of methods. `rank`: the lower, the more a reader learns.
    """

    title: str
    short: str
    sentence: str
    counts: dict[str, int]
    rank: int


@cache
def _names() -> dict[str, str]:
    text = (Path(__file__).parent / "task_names.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def spoken(task: str) -> str:
    """The name of a task as people say it: "Hydration free energy (FreeSolv)" for "freesolv"."""
    if task in _names():
        return _names()[task]
    words = task.replace("_", " ")
    return words[:1].upper() + words[1:]


def family_name(family: Family) -> str:
    """The task of a track, or its tasks: "Handwritten digits and Fashion-MNIST"."""
    names = [spoken(column.task) for column in family.columns]
    if len(names) > MOST_NAMES:
        return f"{family.title.capitalize()} over {len(names)} tasks"
    return " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)


def name_on(matrix: Matrix, row: Row, brief: Brief) -> str:
    """The name of a row, without the backbone where all rows of a track share it."""
    if len(brief.backbones) > 1:
        return row_name(matrix, row)
    return " · ".join(filter(None, [row.label, row.variant]))


def headline(matrix: Matrix, info: SuiteInfo, brief: Brief, contrasts: Sequence[Contrast]) -> Headline:
    """What was found on one track.

    Args:
        matrix: the records of the suite.
        info: roles and margins.
        brief: the track.
        contrasts: all rows of the suite against their baselines.

    Returns:
        Controls and ceilings are neither counted nor named.
    """
    methods = []
    for contrast in contrasts:
        if contrast.family == brief.family.name and info.role(matrix, contrast.row) in RIVALS:
            methods.append(contrast)
    methods.sort(key=lambda contrast: -contrast.difference.combined.mean)
    first = first_of(methods)
    if first is None:
        return _alone(matrix, info, brief)
    counts = dict(Counter(contrast.outcome for contrast in methods))
    size = formatting.effect(first.difference.estimate, first.unit)
    title, lead = _found(first, name_on(matrix, first.row, brief), counts)
    sentence = f"{lead}{size}{cost_in_words(matrix, first)}."
    return Headline(title, f"{lead}{size}.", sentence, counts, SURENESS.get(first.outcome, len(SURENESS)))


def _found(first: Contrast, name: str, counts: dict[str, int]) -> tuple[str, str]:
    """The title, and the sentence up to the effect."""
    baseline = first.baseline
    if first.outcome == "better":
        number = counts["better"]
        title = f"{number} of {sum(counts.values())} methods beat {baseline}"
        if number == 1:
            title = f"{name} beats {baseline}"
        return title, f"{name} beats {baseline} by "
    if set(counts) == {"worse"}:
        return f"Nothing keeps up with {baseline}", f"No method keeps up with {baseline}; the closest, {name}: "
    if first.outcome == "one seed":
        title = f"One seed decides nothing against {baseline}"
    elif first.outcome == "equivalent":
        title = f"{counts['equivalent']} as good as {baseline}, none better"
    else:
        title = f"No gain over {baseline} is shown"
    return title, f"No method is shown to beat {baseline}; {name} ({first.outcome}): "


def _alone(matrix: Matrix, info: SuiteInfo, brief: Brief) -> Headline:
    """Without a baseline to compare with, the best score is all there is."""
    family = brief.family
    best = best_row(matrix, info, family)
    if best is None:
        words = "No baseline and no method has a score on all of its tasks."
        return Headline("No score", words, words, {}, len(SURENESS) + 2)
    unit = family.columns[0].unit
    score = f"{formatting.number(matrix.mean(best, family.columns).mean, unit)} {formatting.shown_unit(unit)}".strip()
    words = (
        f"Nothing is paired with {family.baseline} here; the best score is {score}, of {name_on(matrix, best, brief)}."
    )
    return Headline("Nothing to compare", words, words, {}, len(SURENESS) + 1)
