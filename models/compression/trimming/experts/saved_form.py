"""Trimmed mixtures as a part of a saved model: those whose number of experts the configuration cannot say.

A configuration of transformers has one number of experts for all layers. Where layers keep different numbers, a router
knows of more experts than there are, or experts have lost neurons, the model gets a registered class of ours, whose
configuration says the rest. Mixtures that were converted from dense layers say their own numbers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ....anatomy import DescribesMLP, tell_counts
from ....hub.declaration import declare, withdraw
from .mixtures import Mixture, mixtures_of
from .remapped import NONE, RemappedExperts, remap

MARK = "sparsebench_experts"
"""Attribute of a stock mixture that has another number of experts than its configuration says: how many."""
WIDTH = "sparsebench_expert_width"
"""Attribute of a stock mixture whose experts have fewer hidden neurons than its configuration says: how many."""


class TrimmedMixtures:
    """Mixtures with fewer experts than the model's class makes; see `hub.parts.Part`."""

    floor = 1
    """Converted mixtures are there before tables are put around their experts."""

    def holds(self, module: nn.Module) -> bool:
        """Whether a module is a trimmed mixture, or what stands around its experts."""
        return isinstance(module, RemappedExperts) or MARK in vars(module) or WIDTH in vars(module)

    def describe(self, model: nn.Module) -> dict[str, Any]:
        """By block: the number of experts, and rows of the router and constants where there is a table; and the hidden
        neurons of an expert where the configuration says another number.
        """
        blocks: dict[str, Any] = {}
        for mixture in mixtures_of(model):
            table = mixture.experts.table
            marks = vars(mixture.mlp.site.get())
            entry: list[int] = []
            if table is not None:
                remapped = table.parent
                assert isinstance(remapped, RemappedExperts)
                constants = 0 if remapped.constants is None else len(remapped.constants)
                entry = [mixture.experts.num_experts, len(remapped.table) - 1, constants]
            elif MARK in marks or WIDTH in marks:
                entry = [mixture.experts.num_experts, 0, 0]
            if WIDTH in marks:
                entry.append(marks[WIDTH])
            if entry:
                blocks[str(mixture.block.index)] = entry
        return {"blocks": blocks}

    def build(self, model: nn.Module, description: dict[str, Any]) -> None:
        """Take experts out of the mixtures that the class makes, and put tables around them."""
        mixtures = [mixture for mixture in mixtures_of(model) if str(mixture.block.index) in description["blocks"]]
        for mixture in mixtures:
            number, rows, constants, *width = description["blocks"][str(mixture.block.index)]
            if width:
                _build_narrow(mixture, width[0])
            if rows:
                _build_table(mixture, number, rows, constants)
            elif number < mixture.experts.num_experts:
                # Not the configuration: that is already as it was saved.
                mixture.experts.holders = tuple(one for one in mixture.experts.holders if isinstance(one, nn.Module))
                mixture.experts.keep(range(number))
            if not rows:
                vars(mixture.mlp.site.get())[MARK] = number


def _build_narrow(mixture: Mixture, width: int) -> None:
    first = torch.arange(width, device="cpu")
    mixture.experts.keep_neurons([first] * mixture.experts.num_experts)
    vars(mixture.mlp.site.get())[WIDTH] = width


def _build_table(mixture: Mixture, number: int, rows: int, constants: int) -> None:
    down = mixture.experts.weights(0).down
    kept = range(min(number, mixture.experts.num_experts))
    values = down.new_zeros(constants, down.shape[0]) if constants else None
    remap(mixture.mlp, kept, [NONE] * rows, values)


def note_trimmed(model: nn.Module) -> None:
    """Let a model be saved with the experts that it has now: by its configuration if that can say it, else by ours."""
    part = TrimmedMixtures()
    stock: list[Mixture] = []
    for mixture in mixtures_of(model):
        module = mixture.mlp.site.get()
        if not isinstance(module, DescribesMLP) and mixture.experts.table is None:
            vars(module).pop(MARK, None)
            stock.append(mixture)
    numbers = {mixture.experts.num_experts for mixture in stock}
    if len(numbers) > 1:
        _tell_most(stock)
        for mixture in stock:
            vars(mixture.mlp.site.get())[MARK] = mixture.experts.num_experts
    if any(map(part.holds, model.modules())):
        declare(model, "compression")
    else:
        withdraw(model, "compression")


def _tell_most(stock: list[Mixture]) -> None:
    """Let the configuration say the largest numbers of any mixture: the class then makes enough for all."""
    number = max(mixture.experts.num_experts for mixture in stock)
    top_k = max(mixture.experts.top_k for mixture in stock)
    for holder in stock[0].experts.holders:
        if not isinstance(holder, nn.Module):
            tell_counts(holder, number, top_k)
