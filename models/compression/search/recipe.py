"""A chosen recipe: what becomes of each mixture, what it should cost, and the transforms that make it so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import nn

from ...calibration.mixture_statistics import LayerStatistics
from ..quantisation.report import QuantisationReport
from ..quantisation.transform import QuantiseConfig, quantise
from ..trimming.experts.drop import expert_drop
from ..trimming.experts.mixtures import mixtures_of
from ..trimming.experts.saved_form import note_trimmed
from ..trimming.experts.scores import Score
from ..trimming.experts.width import kept_neurons, narrow
from ..trimming.layer_drop import drop_layers
from .options import Option
from .prices import Price
from .trials import Ranked

SEARCHED = "searched"
"""Name of the recipe that the knapsack found."""


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What becomes of the mixture of one block.

    Attributes:
        layer: its name.
        block: index of the block.
        before: what it was.
        after: what is left of it.
        damage: what this should do; None for what was not tried by itself.
    """

    layer: str
    block: int
    before: Option
    after: Option
    damage: float | None

    def __str__(self) -> str:
        if self.after.dropped:
            return f"{self.layer}: dropped"
        parts = [f"{self.after.experts} of {self.before.experts} experts"]
        parts.append(f"{self.after.width} of {self.before.width} neurons")
        parts.append("weights as stored" if self.after.bits is None else f"{self.after.bits} bits")
        return f"{self.layer}: {', '.join(parts)}"


@dataclass(frozen=True)
class Tried:
    """A whole recipe that was made on a copy: its name, and how far that was from the model on the held-out batches."""

    name: str
    divergence: float


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What becomes of each mixture, in the order of the model.

    Attributes:
        decisions: one for each mixture.
        kind: of the budget, "bytes" or "active".
        limit: what the budget allowed.
        before: stored bytes and active parameters of the model.
        after: the same afterwards, as predicted.
        damage: the sum of the damages, in the unit of the distance, None where one was not tried.
        unit: what costs were rounded up to (`knapsack.Solution`).
        exact: whether no choice within the budget has less predicted damage.
        name: which recipe it is.
        tried: those that were compared, in the order in which they are preferred where they are equal; none where
            nothing was held out, or there was no other.
    """

    decisions: tuple[Decision, ...]
    kind: str
    limit: int
    before: Price
    after: Price
    damage: float | None
    unit: int
    exact: bool
    name: str = SEARCHED
    tried: tuple[Tried, ...] = ()

    def __str__(self) -> str:
        head = (
            f"{self.before.bytes} -> {self.after.bytes} bytes, {self.before.active} -> {self.after.active} active "
            f"parameters, {_predicted(self.damage)}"
        )
        tried = [f"{one.name}: {one.divergence:.4g} on held-out batches" for one in self.tried]
        return "\n".join([head, *map(str, self.decisions), *tried])


def _predicted(damage: float | None) -> str:
    return "damage not predicted" if damage is None else f"predicted damage {damage:.4g}"


def apply(
    model: nn.Module,
    recipe: Recipe,
    ranked: Sequence[Ranked],
    statistics: Sequence[LayerStatistics],
    rounding: Callable[[int], QuantiseConfig],
    batches: Sequence[object],
    score: Score,
) -> QuantisationReport | None:
    """Make the model what the recipe says, in place: experts, neurons and mixtures go, then what is left is rounded.

    `rounding`: how weights are rounded to so many bits. Returns what the rounding did; None where nothing was rounded.
    """
    decisions = recipe.decisions
    numbers = [one.before.experts if one.after.dropped else one.after.experts for one in decisions]
    if any(number < one.before.experts for number, one in zip(numbers, decisions, strict=True)):
        report = expert_drop(model, statistics, numbers, score=score)
        kept = [list(layer.kept) for layer in report.layers]
    else:
        kept = [list(range(number)) for number in numbers]
    _narrow(model, decisions, ranked, kept)
    drop_layers(model, [one.block for one in decisions if one.after.dropped])
    configs = {one.block: rounding(one.after.bits) for one in decisions if one.after.bits is not None}
    if not configs:
        return None
    grids = {block: config.grid for block, config in configs.items()}
    return quantise(model, next(iter(configs.values())), batches, grids=grids)


def _narrow(
    model: nn.Module, decisions: Sequence[Decision], ranked: Sequence[Ranked], kept: Sequence[Sequence[int]]
) -> None:
    """The best neurons of the experts that are left."""
    changed = False
    for mixture, one, ranks, experts in zip(mixtures_of(model), decisions, ranked, kept, strict=True):
        if one.after.dropped or one.after.width == one.before.width:
            continue
        neurons = kept_neurons(ranks.neurons, one.after.width)
        narrow(mixture, [neurons[expert] for expert in experts], one.after.width)
        changed = True
    if changed:
        note_trimmed(model)
