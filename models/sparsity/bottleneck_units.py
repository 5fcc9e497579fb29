"""Bottleneck units: which projections belong together, which units do nothing, and how to take them out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..adapters.adapter_set import AdapterSet
from ..errors import ModelError
from .masked import Masked, MaskedConv2d


@dataclass(frozen=True, kw_only=True, eq=False)
class Pair:
    """The projections into and out of one bottleneck.

    Unit j is row j of `down` with its bias, then `activation` (elementwise; None is the identity), then column j of
    `up`. `owner` is the module that has them.
    """

    name: str
    owner: nn.Module
    down: Masked
    up: Masked
    activation: Callable[[Tensor], Tensor] | None = None

    @property
    def units(self) -> int:
        """Width of the bottleneck."""
        return self.down.shape[0]


def pairs(adapters: AdapterSet) -> list[Pair]:
    """The pairs of a set.

    A module has pairs when it has attributes `down` and `up`, both `Masked` (with what lies between them, if anything,
    as `activation`) or both lists of `Masked`, without anything between them.
    """
    return [pair for name, owner in _owners(adapters) for pair in _pairs_of(name, owner)]


def pair_of(layer: Masked, pairs: Sequence[Pair]) -> tuple[Pair, int]:
    """The pair a layer is in, and the dimension of its weight that counts units: 0 for `down`, 1 for `up`.

    Raises `ModelError` when it is in none, or in several.
    """
    found = [(pair, dim) for pair in pairs for dim, member in enumerate((pair.down, pair.up)) if member is layer]
    if len(found) != 1:
        raise ModelError(f"{layer} is in {len(found)} pairs of `down` and `up`, but units and 'synflow' need one")
    return found[0]


def unit_sums(values: Tensor, dim: int) -> Tensor:
    """(units,) sums of something of a weight's shape, whose dimension `dim` counts units."""
    return values.movedim(dim, 0).flatten(1).sum(1)


def dead_units(pair: Pair) -> Tensor:
    """(units,) True where the row of `down` or the column of `up` has no entry left."""
    return (unit_sums(pair.down.mask.long(), 0) == 0) | (unit_sums(pair.up.mask.long(), 1) == 0)


def keep_units(pair: Pair, keep: Tensor) -> None:
    """Make both projections as narrow as the units where `keep` is True; without any, one unit stays, without weights.

    What the other units put out is dropped.
    """
    if not bool(keep.any()):
        for layer in (pair.down, pair.up):
            layer.prune(torch.zeros(layer.shape, dtype=torch.bool))
        keep = torch.arange(pair.units) == 0
    if not bool(keep.all()):
        places = keep.nonzero()[:, 0].to(pair.down.stored.device)
        pair.down.select(0, places)
        pair.up.select(1, places)


def remove_dead_units(adapters: AdapterSet) -> dict[str, int]:
    """Take out units that pruning left without input or output weights; how many, by the name of the pair.

    Lossless in eval mode: a unit with an empty column of `up` puts out nothing. One with an empty row of `down` puts
    out the constant act(b_j) U_:j, which is added to the bias of `up`; where `up` has no bias, only units whose
    constant is 0 go. Makes new parameters: make the optimizer afterwards.
    """
    found = pairs(adapters)
    for pair in found:
        for layer in (pair.down, pair.up):
            pair_of(layer, found)
    return {pair.name: _remove_dead(pair) for pair in found}


@torch.no_grad()
def _remove_dead(pair: Pair) -> int:
    dead, before = dead_units(pair), pair.units
    empty_row, constant = unit_sums(pair.down.mask.long(), 0) == 0, _constants(pair)
    silent = unit_sums(pair.up.mask.long(), 1) == 0
    if _takes_constants(pair.up):
        assert pair.up.bias is not None
        columns = pair.up.effective(torch.float64).flatten(1)
        constant = torch.where(empty_row & ~silent, constant, 0)
        pair.up.bias.copy_(pair.up.bias.double() + columns @ constant)
    else:
        dead &= silent | (constant == 0)
    if bool(dead.any()):
        keep_units(pair, ~dead)
    return before - pair.units


def _constants(pair: Pair) -> Tensor:
    """(units,) act(b_j) in float64: what a unit without input weights puts out."""
    bias = pair.down.bias
    start = torch.zeros(pair.units, device=pair.down.stored.device) if bias is None else bias
    return start.double() if pair.activation is None else pair.activation(start.double())


def _takes_constants(up: Masked) -> bool:
    pointwise = not isinstance(up, MaskedConv2d) or (up.kernel_size == (1, 1) and up.padding == (0, 0))
    return up.bias is not None and pointwise


def _owners(adapters: AdapterSet) -> Iterator[tuple[str, nn.Module]]:
    yield from adapters.layers()
    for name, module in adapters.modules().items():
        for inner, child in module.named_modules():
            yield f"{name}.{inner}".rstrip("."), child


def _pairs_of(name: str, owner: nn.Module) -> Iterator[Pair]:
    down, up = getattr(owner, "down", None), getattr(owner, "up", None)
    if isinstance(down, Masked) and isinstance(up, Masked):
        yield Pair(name=name, owner=owner, down=down, up=up, activation=getattr(owner, "activation", None))
    elif isinstance(down, nn.ModuleList) and isinstance(up, nn.ModuleList):
        for i, (one, other) in enumerate(zip(down, up, strict=True)):
            if isinstance(one, Masked) and isinstance(other, Masked):
                yield Pair(name=f"{name}.{i}", owner=owner, down=one, up=other)
