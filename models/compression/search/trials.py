"""A mixture as an option leaves it, made on a copy of its block by the transforms that the recipe is applied with."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ...anatomy import Block, Site, describe
from ...calibration.by_block import BlockPass
from ...calibration.mixture_statistics import LayerStatistics
from ..quantisation.changes import Changes
from ..quantisation.report import QuantisationReport
from ..quantisation.rounding.round_block import Rounding
from ..quantisation.targets import targets_of
from ..quantisation.transform import QuantiseConfig, round_block
from ..trimming.experts.budgets import kept_experts
from ..trimming.experts.mixtures import Mixture
from ..trimming.experts.width import kept_neurons, neuron_scores, width_of
from .options import Option

Rounded = Mapping[str, Tensor]
"""Weights on a grid, dense, by the name of their parameter."""


@dataclass(eq=False)
class Ranked:
    """A mixture of the model as it was, with the scores that say which experts (N,) and neurons go first.

    `neurons` is empty where no widths were asked for.
    """

    mixture: Mixture
    experts: Tensor
    neurons: Sequence[Tensor] = field(default_factory=tuple)

    @classmethod
    def of(cls, mixture: Mixture, seen: LayerStatistics, experts: Tensor, *, widths: bool) -> Ranked:
        """By the statistics of the mixture and the scores of its experts."""
        neurons: Sequence[Tensor] = ()
        if widths:
            neurons = neuron_scores(mixture.experts, seen)
        return cls(mixture, experts, neurons)

    def kept(self, number: int) -> list[int]:
        """The experts that stay, as Expert Drop keeps them."""
        (kept,) = kept_experts([self.mixture.experts], [self.experts], [number])
        return kept


def changed_block(model: nn.Module, ranked: Ranked, option: Option, rounded: Rounded | None = None) -> nn.Module:
    """A copy of the mixture's block as the option leaves it; the model itself stays as it is.

    Weights of fewer bits are dense: those that `rounded` has. Without it, `option.bits` changes nothing.
    """
    block = ranked.mixture.block
    with _weights(model, rounded or {}):
        made = copy.deepcopy(block.site.get())
    with placed(block.site, made):
        view = describe(model).blocks[block.index]
        _apply(view, ranked, option)
    return made.eval()


@contextmanager
def placed(site: Site, module: nn.Module) -> Iterator[None]:
    """While it is open, the module lies at the site."""
    before = site.get()
    site.replace(module)
    try:
        yield
    finally:
        site.replace(before)


@torch.no_grad()
def _apply(view: Block, ranked: Ranked, option: Option) -> None:
    if option.dropped:
        view.remove_mlp()
        return
    assert view.mlp is not None and view.mlp.experts is not None
    experts = view.mlp.experts
    # The copy alone is told: not the model, nor its configuration.
    inner = set(view.site.get().modules())
    experts.holders = tuple(one for one in experts.holders if isinstance(one, nn.Module) and one in inner)
    kept = list(range(experts.num_experts))
    if option.experts < experts.num_experts:
        kept = ranked.kept(option.experts)
        experts.keep(kept)
    if option.width < width_of(ranked.mixture.experts):
        neurons = kept_neurons(ranked.neurons, option.width)
        experts.keep_neurons([neurons[expert] for expert in kept])


def rounded_weights(step: BlockPass, model: nn.Module, config: QuantiseConfig) -> dict[str, Tensor]:
    """The weights of the experts of a block on the grid, dense, by name; the block stays as it is.

    By the method of `config`, on the batches in front of the block.
    """
    targets = [target for target in targets_of(describe(model), config.parts) if target.block == step.block.index]
    before = {target.path: getattr(target.parent, target.name) for target in targets}
    report = QuantisationReport(method=config.method)
    found: dict[str, Tensor] = {}
    try:
        with Changes() as changes:
            rounding = Rounding(config.grid, config.gptq, config.awq, config.least_tokens, changes, report)
            round_block(step, config.method, targets, rounding)
            for target in targets:
                found[target.path] = getattr(target.parent, target.name).dense().contiguous()
    finally:
        for target in targets:
            setattr(target.parent, target.name, before[target.path])
    return found


@contextmanager
def _weights(model: nn.Module, weights: Rounded) -> Iterator[None]:
    """While it is open, these are the parameters of the model with these names."""
    held: list[tuple[nn.Module, str, nn.Parameter]] = []
    try:
        for path, value in weights.items():
            place, _, name = path.rpartition(".")
            module = model.get_submodule(place)
            held.append((module, name, getattr(module, name)))
            setattr(module, name, nn.Parameter(value, requires_grad=False))
        yield
    finally:
        for module, name, value in held:
            setattr(module, name, value)
