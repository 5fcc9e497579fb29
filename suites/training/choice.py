"""One option of a method chosen on the validation part: each value trains from the same start, and the best one stays.

    {name: idat, config: {teacher: vit_tiny_s, choose: weight, among: [0.1, 1.0, 10.0]}}

Only options that `fit` alone acts on can be chosen, so that all candidates train one prepared model. Where the budget
says `rest`, each candidate trains until it rests. Candidates with the same score count in the order they are given in,
the first one wins; one that diverges has no score. The test part is not looked at.

The record has all candidates in `details["choice"]`, in the form of `prediction/chosen.py`; curves, notes and training
costs are those of the one that stays. With checkpoints, a cell that was stopped reads the candidates that had ended.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import nn

from sparsebench.data.errors import reason_of
from sparsebench.reports.records.record import Metric

from ..contracts.context import Context
from ..contracts.method import Curves, Method, NotApplicable
from .checkpoint import load_model_state, model_state
from .random_state import undisturbed
from .rest import Start, better_by


@dataclass(frozen=True, kw_only=True)
class _Best:
    """The best candidate so far, with the model as it trained it."""

    value: float
    score: Metric
    weights: Mapping[str, Any]
    curves: Curves
    context: Context


def train_best(option: str, candidates: Sequence[Method], model: nn.Module, data: Any, context: Context) -> Curves:
    """Train by each candidate; the model is left as the best one trained it.

    Args:
        option: the one that they differ in.
        candidates: methods that all train what one `prepare` returned.
        model: that model.
        data: what methods see of the data.
        context: of the link, with `validate`.

    Returns:
        The curves of the best candidate.

    Raises:
        FloatingPointError: every candidate diverged.
        NotApplicable: the task has no validation part.
    """
    if context.validate is None:
        raise NotApplicable(f"choose: {option}, but the task has no validation part to choose it on")
    start = Start({"model": model}, data)
    best: _Best | None = None
    shown: list[dict[str, Any]] = []
    for number, candidate in enumerate(candidates):
        if number:
            start.restore()
        value = getattr(candidate, option)
        own = _own(context, f"{option} {value}")
        trial: dict[str, Any] = {"options": {option: value}}
        shown.append(trial)
        try:
            curves = candidate.fit(model, data, own)
        except FloatingPointError as error:
            trial["reason"] = reason_of(error)
            continue
        with undisturbed():
            _, score = context.validate()
        trial |= _taken(own, score)
        if best is None or better_by(score, best.score) > 0:
            weights = copy.deepcopy(model_state(model))
            best = _Best(value=value, score=score, weights=weights, curves=curves, context=own)
    if best is None:
        raise FloatingPointError(f"every candidate diverged: {'; '.join(trial['reason'] for trial in shown)}")
    load_model_state(model, best.weights)
    context.ledger.adopt(best.context.ledger)
    context.notes.update(best.context.notes)
    context.note("choice", {"on": "the validation part", "chosen": {option: best.value}, "trials": shown})
    return best.curves


def _own(context: Context, name: str) -> Context:
    """The context of a candidate: costs, notes and checkpoints of its own."""
    folder = None if context.folder is None else context.folder / name
    return replace(context, ledger=context.ledger.copy(), notes={}, folder=folder)


def _taken(own: Context, score: Metric) -> dict[str, Any]:
    """Score, seconds and operations of a candidate."""
    costs = own.ledger.costs()
    taken: dict[str, Any] = {"score": score.value}
    if costs is not None:
        taken |= {"seconds": costs.seconds, "flops": costs.flops}
    return taken
