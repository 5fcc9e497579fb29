"""Bottleneck units: which projections belong together, which units do nothing, and how to take them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .masked import Masked, MaskedConv2d

# Shapes: R units of a bottleneck, O outputs of its up projection (with the size of a kernel, flattened).


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


def pair_of(layer: Masked, pairs: Sequence[Pair]) -> tuple[Pair, int]:
    """The pair a layer is in, and the dimension of its weight that counts units: 0 for `down`, 1 for `up`.

    Raises `ModelError` when it is in none, or in several.
    """
    found: list[tuple[Pair, int]] = []
    for pair in pairs:
        if layer is pair.down:
            found.append((pair, 0))
        if layer is pair.up:
            found.append((pair, 1))
    if len(found) != 1:
        raise ModelError(f"{layer} is in {len(found)} pairs of `down` and `up`, but units and 'synflow' need one")
    return found[0]


def unit_sums(values: Tensor, dim: int) -> Tensor:
    """(units,) sums of something of a weight's shape, whose dimension `dim` counts units."""
    return values.movedim(dim, 0).flatten(1).sum(1)


def unread_units(pair: Pair) -> Tensor:
    """(units,) True where the row of `down` has no entry left: the unit puts out a constant."""
    return unit_sums(pair.down.mask.long(), 0) == 0


def silent_units(pair: Pair) -> Tensor:
    """(units,) True where the column of `up` has no entry left: nobody gets what the unit puts out."""
    return unit_sums(pair.up.mask.long(), 1) == 0


def dead_units(pair: Pair) -> Tensor:
    """(units,) True where the row of `down` or the column of `up` has no entry left."""
    return unread_units(pair) | silent_units(pair)


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


@torch.no_grad()
def remove_dead(pair: Pair) -> int:
    """Take the dead units out of a pair without a change of its output in eval mode; how many went.

    A silent unit just goes. An unread one puts out the constant act(b_j) U_:j, which the bias of `up` takes over;
    where it cannot, only units whose constant is 0 go.
    """
    before = pair.units
    silent_R = silent_units(pair)
    constant_R = _constants(pair)
    if _bias_takes_constants(pair.up):
        removable_R = silent_R | unread_units(pair)
        _move_to_bias(pair.up, torch.where(removable_R & ~silent_R, constant_R, 0))
    else:
        removable_R = silent_R | (unread_units(pair) & (constant_R == 0))
    if bool(removable_R.any()):
        keep_units(pair, ~removable_R)
    return before - pair.units


def _constants(pair: Pair) -> Tensor:
    """(units,) act(b_j) in float64: what a unit without input weights puts out."""
    if pair.down.bias is None:
        bias_R = torch.zeros(pair.units, dtype=torch.float64, device=pair.down.stored.device)
    else:
        bias_R = pair.down.bias.double()
    if pair.activation is None:
        return bias_R
    return pair.activation(bias_R)


def _bias_takes_constants(up: Masked) -> bool:
    """Whether a constant input gives the same output everywhere: not where a kernel reaches over a padded border."""
    if up.bias is None:
        return False
    return not isinstance(up, MaskedConv2d) or (up.kernel_size == (1, 1) and up.padding == (0, 0))


def _move_to_bias(up: Masked, constant_R: Tensor) -> None:
    """Add to the bias of `up` what it makes of constant units."""
    assert up.bias is not None
    weight_OR = up.effective(torch.float64).flatten(1)
    up.bias.copy_(up.bias.double() + weight_OR @ constant_R)
