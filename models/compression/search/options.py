"""What may become of one mixture: so many experts, of such a width, at so many bits; or nothing is left of it."""

from __future__ import annotations

from dataclasses import dataclass

from ...anatomy import Experts
from ...errors import ModelError
from ..quantisation.grid import LEAST_BITS, MOST_BITS
from ..trimming.experts.width import width_of

GRANULE = 8
"""Widths are multiples of this where the experts' own is one: kernels and groups of columns like that."""


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """What the search may choose from, for each mixture alike; to keep it as it is can always be chosen.

    Attributes:
        experts: fractions of its experts that may stay, in (0, 1); empty changes nothing, here and below.
        widths: fractions of their hidden neurons, in (0, 1).
        bits: of the experts' weights, 2 to 8.
        layers: whether a mixture may go as a whole, shared experts included.

    Raises:
        ModelError: other values, and where nothing may change.
    """

    experts: tuple[float, ...] = (0.875, 0.75, 0.625, 0.5)
    widths: tuple[float, ...] = (0.75, 0.5)
    bits: tuple[int, ...] = (4, 3, 2)
    layers: bool = True

    def __post_init__(self) -> None:
        for name in ("experts", "widths"):
            for fraction in getattr(self, name):
                if not 0 < fraction < 1:
                    raise ModelError(
                        f"{name}: a fraction of {fraction} must lie in (0, 1); all of them is always a choice"
                    )
        for bits in self.bits:
            if not LEAST_BITS <= bits <= MOST_BITS:
                raise ModelError(f"bits={bits} must lie in {LEAST_BITS}..{MOST_BITS}")
        if not (self.experts or self.widths or self.bits or self.layers):
            raise ModelError("nothing may change: allow experts, widths, bits or layers")


@dataclass(frozen=True)
class Option:
    """One mixture by then.

    Attributes:
        experts: how many are left.
        width: hidden neurons of the largest of them.
        bits: of their weights; None: as they are stored.
        dropped: the mixture goes as a whole.
    """

    experts: int
    width: int
    bits: int | None = None
    dropped: bool = False

    def __str__(self) -> str:
        if self.dropped:
            return "dropped"
        weights = "weights as stored" if self.bits is None else f"{self.bits} bits"
        return f"{self.experts} experts of {self.width} neurons, {weights}"


def options_of(experts: Experts, space: SearchSpace) -> list[Option]:
    """All combinations for one mixture without repetition, the unchanged one first, the dropped one last.

    A router that chooses among groups of experts keeps equally many of each group.

    Args:
        experts: the experts of the mixture.
        space: which numbers of experts, widths and bits are tried, and whether the layer may go.

    Returns:
        The options.

    Example: with 8 experts, `experts=(0.75,)` and nothing else there are two: 8 experts, and 6.
    """
    found = dict.fromkeys(combinations(experts, space))
    if space.layers:
        found[Option(0, 0, None, dropped=True)] = None
    return list(found)


def combinations(experts: Experts, space: SearchSpace) -> list[Option]:
    """All combinations of experts, width and bits for one mixture, with repetition, the unchanged one first.

    Those at one place of the lists of several mixtures are alike: the same fractions and bits.
    """
    width = width_of(experts)
    numbers = [experts.num_experts, *(number_of(experts, fraction) for fraction in space.experts)]
    widths = [width, *(_width(width, fraction) for fraction in space.widths)]
    found: list[Option] = []
    for bits in (None, *space.bits):
        for number in numbers:
            found += [Option(number, narrow, bits) for narrow in widths]
    return found


def number_of(experts: Experts, fraction: float) -> int:
    """Experts that stay, equally many of each group."""
    groups = experts.groups
    size = experts.num_experts // groups
    left = min(size, max(round(fraction * size), experts.least_in_group, 1))
    return left * groups


def _width(width: int, fraction: float) -> int:
    step = 1
    if width % GRANULE == 0:
        step = GRANULE
    return max(step, round(fraction * width / step) * step)
