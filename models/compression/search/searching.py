"""The search: scored once on calibration data, then the recipe of least damage that keeps a budget."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import torch
from torch import nn

from ...calibration.calls import batch_list
from ...calibration.mixture_statistics import LayerStatistics, mixture_statistics
from ...errors import ModelError, check_choice
from ..quantisation.files.part import packed_weights
from ..quantisation.grid import Grid
from ..quantisation.transform import QuantiseConfig
from ..trimming.absent import without
from ..trimming.experts.mixtures import changeable_mixtures, check_statistics
from ..trimming.experts.scores import SCORES, Score, expert_scores
from .budget import Budget
from .comparison import Found, nearest, split
from .damage import Distance, measure
from .knapsack import solve
from .options import SearchSpace, options_of
from .prices import Price, price_of, saved
from .recipe import Recipe, apply
from .trials import Ranked

Rounding = Literal["rtn", "gptq"]


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """What may change, and how it is decided.

    Attributes:
        budget: what may be left.
        space: what may be chosen for each mixture.
        score: ranks experts.
        method: how weights are rounded, in trials and in the end.
        group_size: of the grids.
        symmetric: of the grids.
        distance: what a damage is measured in (`damage.py`).
        anchors: options of each mixture that are measured through the whole model; with as many as there are options,
            each of them is.
        held_out: fraction of the batches, one at least, that decide on nothing but which whole recipe is returned; one
            batch alone serves for both, and with 0 the recipe of least predicted damage is never looked at.

    Raises:
        ModelError: values that cannot be.
    """

    budget: Budget
    space: SearchSpace = field(default_factory=SearchSpace)
    score: Score = "reap"
    method: Rounding = "gptq"
    group_size: int | None = 64
    symmetric: bool = True
    distance: Distance = "kl"
    anchors: int = 4
    held_out: float = 0.25

    def __post_init__(self) -> None:
        check_choice("score", self.score, SCORES)
        check_choice("method", self.method, get_args(Rounding))
        check_choice("distance", self.distance, get_args(Distance))
        if self.score == "random":
            raise ModelError("score='random' ranks nothing: the search wants a score that looks at data")
        if self.anchors < 1:
            raise ModelError(f"anchors={self.anchors} must be 1 or more")
        if not 0 <= self.held_out < 1:
            raise ModelError(f"held_out={self.held_out}, a fraction of the batches, must lie in [0, 1)")
        for bits in self.space.bits:
            self.rounding(bits)

    def rounding(self, bits: int) -> QuantiseConfig:
        """How experts are rounded.

        Args:
            bits: of a weight.

        Raises:
            ModelError: what no grid can be.
        """
        grid = Grid(bits=bits, group_size=self.group_size, symmetric=self.symmetric)
        return QuantiseConfig(method=self.method, grid=grid)


@torch.no_grad()
def search(
    model: nn.Module,
    batches: Iterable[object],
    config: SearchConfig,
    statistics: Sequence[LayerStatistics] | None = None,
) -> Recipe:
    """Find the recipe of least damage within a budget on calibration data, and make the model so, in place.

    Experts go by their score, neurons by what they put out, mixtures as a whole; weights that are left are rounded. The
    same model and data give the same recipe. What the recipe costs is what it says, to the byte.

    Damages are measured one mixture at a time, and do not just add up. So the recipe is made on a copy of the model and
    compared, on batches that were held out, with the uniform ones of the same space and with the score over all layers
    (`candidates.py`), made likewise; the one that is nearest to the model is returned.

    Args:
        model: a model with mixtures of experts.
        batches: calibration data; `config.held_out` of them decide between whole recipes only.
        config: the budget, what may change, and how that is decided.
        statistics: those of `mixture_statistics(model, batches, moments=True)`, if they are there already.

    Returns:
        The recipe: a decision for each mixture, with what it saves and what it does.

    Raises:
        ModelError: a budget that no choice keeps (it names the least that can be reached), a model without a mixture,
            mixtures that cannot go though `config.space.layers` says so, weights that are packed already, and scores
            that cannot be had from the data. The model stays as it was.

    Example: `print(search(mixtral, batches, SearchConfig(budget=Budget(bytes=0.4))))`.
    """
    # With two batches or more, those that choose between whole recipes took no part in making them.
    own, held = split(batch_list(batches), config.held_out)
    if statistics is None:
        statistics = mixture_statistics(model, own, moments=bool(config.space.widths))
    ranked = _ranked(model, statistics, config)
    options = [options_of(one.mixture.experts, config.space) for one in ranked]
    configs = {bits: config.rounding(bits) for bits in config.space.bits}
    kind = config.budget.kind
    before = price_of(model)
    savings: list[list[Price]] = []
    for one, its_own in zip(ranked, options, strict=True):
        savings.append(saved(model, one, its_own, configs))
    # To leave a mixture as it is costs 0, so that costs are negative and the budget is what has to be saved.
    costs = [[-saving.of(kind) for saving in its_own] for its_own in savings]
    limit = _limit(before, costs, config.budget)
    damages = measure(model, own, ranked, options, configs, distance=config.distance, anchors=config.anchors)
    solution = solve(costs, damages, limit - before.of(kind))
    found = Found(ranked, options, savings, damages, solution, before, kind, limit)

    def make(changed: nn.Module, recipe: Recipe) -> None:
        apply(changed, recipe, ranked, statistics, config.rounding, own, config.score)

    recipe = nearest(model, found.recipes(model, config.space) if held else [found.best()], make, held, config.distance)
    make(model, recipe)
    return recipe


def _ranked(model: nn.Module, statistics: Sequence[LayerStatistics], config: SearchConfig) -> list[Ranked]:
    """The mixtures with their scores. Raises `ModelError` where one could not be changed as the space says."""
    mixtures = changeable_mixtures(model, weights=True)
    check_statistics(mixtures, statistics)
    packed = next(packed_weights(model), None)
    if packed is not None:
        raise ModelError(f"{packed[0]} is quantised: search first, or `dequantise(model)`")
    if config.space.layers:
        for mixture in mixtures:
            with without(mixture.block, mlp=True):
                pass
    scores = expert_scores(statistics, config.score)
    found: list[Ranked] = []
    for mixture, seen, experts in zip(mixtures, statistics, scores, strict=True):
        found.append(Ranked.of(mixture, seen, experts, widths=bool(config.space.widths)))
    return found


def _limit(before: Price, costs: Sequence[Sequence[int]], budget: Budget) -> int:
    """What the model may cost. Raises `ModelError`, with the least that can be reached, where it cannot be kept."""
    whole = before.of(budget.kind)
    limit = int(budget.fraction * whole)
    least = whole + sum(min(own) for own in costs)
    if limit < least:
        what = "bytes" if budget.kind == "bytes" else "active parameters"
        raise ModelError(
            f"{budget.kind}={budget.fraction} allows {limit} of {whole} {what}, but the least that these options "
            f"reach is {least}: take {budget.kind}={math.ceil(1000 * least / whole) / 1000} or more, or let more change"
        )
    return limit
