"""What a pruning did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from ...errors import optional
from ...sparsity.bottleneck_units import Pair, dead_units
from ...sparsity.masked import Masked


@dataclass(frozen=True, kw_only=True)
class LayerDensity:
    """How many of the weights of one layer stay. `total`: before this pruning, removed entries included."""

    name: str
    total: int
    kept: int

    @property
    def density(self) -> float:
        """Fraction kept."""
        return self.kept / self.total


@dataclass(frozen=True, kw_only=True)
class UnitCount:
    """Bottleneck units of one pair; `dead` ones have no input or no output weight left (see `remove_dead_units`)."""

    name: str
    total: int
    dead: int


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `sparsify` did.

    `density`: as asked for. `total` and `kept`: weights, without biases. `ties`: candidates at the border whose score
    is the same, so that their position decided; summed over rounds and layers. `layers` and `units` are not printed.
    """

    method: str
    density: float
    total: int
    kept: int
    ties: int
    layers: tuple[LayerDensity, ...] = field(repr=False)
    units: tuple[UnitCount, ...] = field(repr=False)

    @property
    def sparsity(self) -> float:
        """Fraction to remove, as asked for."""
        return 1 - self.density

    @property
    def dead_units(self) -> int:
        """Units without input or output weights, in all pairs."""
        return sum(unit.dead for unit in self.units)

    def _repr_html_(self) -> str:
        """What a notebook shows: what `print` does, and the layers."""
        with optional():
            import pandas

        return f"<p>{escape(repr(self))}</p>{pandas.DataFrame(self.layers).to_html(max_rows=20, index=False)}"


def describe_pruning(
    layers: Mapping[str, Masked],
    sizes: Mapping[str, int],
    pairs: Sequence[Pair],
    *,
    method: str,
    density: float,
    ties: int,
) -> Report:
    """The report of layers as they are now, `sizes` being those of their weights before."""
    densities: list[LayerDensity] = []
    for name, layer in layers.items():
        densities.append(LayerDensity(name=name, total=sizes[name], kept=layer.stored.numel()))
    units: list[UnitCount] = []
    for pair in pairs:
        units.append(UnitCount(name=pair.name, total=pair.units, dead=int(dead_units(pair).sum())))
    return Report(
        method=method,
        density=density,
        total=sum(layer.total for layer in densities),
        kept=sum(layer.kept for layer in densities),
        ties=ties,
        layers=tuple(densities),
        units=tuple(units),
    )
