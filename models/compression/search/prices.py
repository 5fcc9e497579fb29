"""What a model costs with one mixture as an option leaves it: exactly, by counting it, and packed weights by shape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from torch import Tensor, nn

from ...anatomy import describe
from ...counting import count_parameters, stored_bytes
from ..quantisation.grid import Grid
from ..quantisation.packed.packing import WORD, words
from ..quantisation.targets import targets_of
from ..quantisation.transform import QuantiseConfig
from .budget import Kind
from .options import Option
from .trials import Ranked, changed_block, placed


@dataclass(frozen=True)
class Price:
    """Stored bytes, and parameters at work on a token."""

    bytes: int
    active: int

    def of(self, kind: Kind) -> int:
        """The one that a budget is about."""
        return self.bytes if kind == "bytes" else self.active

    def __sub__(self, other: Price) -> Price:
        return Price(self.bytes - other.bytes, self.active - other.active)

    def __add__(self, other: Price) -> Price:
        return Price(self.bytes + other.bytes, self.active + other.active)


def price_of(model: nn.Module) -> Price:
    """What the model costs as it is."""
    return Price(stored_bytes(model), count_parameters(model).active)


def saved(
    model: nn.Module, ranked: Ranked, options: Sequence[Option], configs: Mapping[int, QuantiseConfig]
) -> list[Price]:
    """What each option takes off the price of the model; less than nothing where packing costs more than it saves.

    The savings of several mixtures add up: no two of them share a tensor. `configs`: how weights are rounded, by number
    of bits.
    """
    whole = price_of(model)
    found: dict[Option, Price] = {}
    for option in options:
        if option.bits is None:
            with placed(ranked.mixture.block.site, changed_block(model, ranked, option)):
                found[option] = whole - price_of(model)
                for bits, config in _roundings(option, options, configs):
                    found[replace(option, bits=bits)] = found[option] + Price(_packing_saves(model, ranked, config), 0)
    return [found[option] for option in options]


def _roundings(
    dense: Option, options: Sequence[Option], configs: Mapping[int, QuantiseConfig]
) -> Iterator[tuple[int, QuantiseConfig]]:
    """Those that some option has what is left after `dense` rounded with."""
    for option in options:
        if option.bits is not None and replace(option, bits=None) == dense:
            yield option.bits, configs[option.bits]


def _packing_saves(model: nn.Module, ranked: Ranked, config: QuantiseConfig) -> int:
    """Bytes of the experts of the block as it is now, less those of their packed form."""
    found = 0
    for target in targets_of(describe(model), config.parts):
        if target.block == ranked.mixture.block.index:
            found += target.weight.nbytes - packed_bytes(target.weight, config.grid)
    return found


def packed_bytes(weight: Tensor, grid: Grid) -> int:
    """Bytes of a weight (..., I) in packed storage: words of codes; a scale, perhaps a zero point, for each group."""
    columns = weight.shape[-1]
    row = words(columns, grid.bits) * WORD // 8 + grid.groups(columns) * weight.element_size()
    if not grid.symmetric:
        row += grid.groups(columns)
    return weight.numel() // columns * row
