"""A side of a step: a row's scores by seed or by training, as they are or as changes from those of another row.

A claim about all of a training is one about each point of a curve, which is a score there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...records.example_files import ExampleReader
from ...records.links import by_link
from ...records.record import Metric, Record
from ...statistics import Score, Side, change, mean_score
from ..matrix import side_of
from .claim import Claim


def side(
    claim: Claim, label: str, metric: str, task: str, records: Sequence[Record], examples: ExampleReader | None
) -> Side:
    """The scores of a row on a task; where the claim has a base for it, what they are above those of the base.

    Args:
        claim: says what is counted from what, and whether trainings are the unit.
        label: of the row.
        metric: the name of the score.
        task: the name of the task.
        records: those of the claim.
        examples: reads outcomes by example.

    Returns:
        Scores by seed, or by the place of the training in `claim.trainings`.

    Raises:
        LookupError: a row without a score.
        RecordError: two records of one seed.
    """
    own = _of_row(claim, label, metric, task, records, examples)
    if label not in claim.base:
        return own
    base = _of_row(claim, claim.base[label], metric, task, records, examples)
    return _changes(own, base)


def _of_row(
    claim: Claim, label: str, metric: str, task: str, records: Sequence[Record], examples: ExampleReader | None
) -> Side:
    of_row = [record for record in records if record.cell.task == task and record.cell.label == label]
    if claim.trainings:
        found = _by_training(claim, metric, of_row, examples)
    else:
        found = side_of(of_row, metric, examples)
    if not found.scores:
        raise LookupError(f"{label} has no score on {task}")
    return found


def _by_training(claim: Claim, metric: str, records: Sequence[Record], examples: ExampleReader | None) -> Side:
    """The mean over the draws of each training; a training of which a draw went wrong has no score."""
    scores: dict[int, Score] = {}
    for number, training in enumerate(claim.trainings):
        own = [record for record in records if record.cell.backbone.partition(":")[2] == training]
        drawn = side_of(own, metric, examples)
        if drawn.scores and len(drawn.scores) == drawn.planned:
            scores[number] = mean_score([drawn.scores[seed] for seed in sorted(drawn.scores)])
    return Side(scores, len(claim.trainings), stochastic=True)


def _changes(own: Side, base: Side) -> Side:
    """By seed; a side that no seed changes has the same score for every seed of the other."""
    if own.stochastic and base.stochastic:
        seeds = own.scores.keys() & base.scores.keys()
        planned = min(own.planned, base.planned)
    else:
        many = own if own.stochastic else base
        seeds = many.scores.keys()
        planned = many.planned
    scores = {seed: change(_at(own, seed), _at(base, seed)) for seed in sorted(seeds)}
    return Side(scores, planned, own.stochastic or base.stochastic)


def _at(side: Side, seed: int) -> Score:
    if side.stochastic:
        return side.scores[seed]
    return next(iter(side.scores.values()))


def curve_of(record: Record, name: str) -> list[tuple[float, float]]:
    """The (step, value) points of a curve, of a chain those of its last link that has it; none without it.

    Args:
        record: a whole record.
        name: of the curve, without the number of the link.
    """
    found = by_link(record.curves, name)
    return [(step, value) for step, value in found[max(found)]] if found else []


def at_each_step(records: Sequence[Record], name: str) -> dict[float, list[Record]]:
    """The records at each step of a curve, with its value there as their one metric, by the name of the curve.

    Args:
        records: whole ones; those that failed are at every step, as they are.
        name: of the curve.

    Returns:
        By step, in order, of the steps that every record has that went well.

    Raises:
        LookupError: there is none.
    """
    curves = {record.id: dict(curve_of(record, name)) for record in records if record.status == "ok"}
    common = set.intersection(*map(set, curves.values())) if curves else set()
    if not common:
        raise LookupError(f"the records have no common point of a curve {name!r}")
    return {step: [_at_step(record, name, curves, step) for record in records] for step in sorted(common)}


def _at_step(record: Record, name: str, curves: Mapping[str, Mapping[float, float]], step: float) -> Record:
    if record.id not in curves:
        return record
    value = curves[record.id][step]
    metric = Metric(value=value, higher_is_better=False, unit="")
    return replace(record, metrics={name: metric}, main_metric=name, examples=None)
