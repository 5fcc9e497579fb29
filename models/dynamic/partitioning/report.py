"""What a partition did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..layer import DynamicLayer


@dataclass(frozen=True, kw_only=True)
class LayerModes:
    """One layer: `total` entries of a kernel, `dynamic` of them in each of its `kernels`."""

    name: str
    kernels: int
    total: int
    dynamic: int

    @property
    def ratio(self) -> float:
        """Share of the entries that are dynamic (the paper's kappa)."""
        return self.dynamic / self.total

    @property
    def stored(self) -> int:
        """Weights of the deployed form: (1 - kappa) n static ones and K kappa n dynamic ones."""
        return self.total - self.dynamic + self.kernels * self.dynamic


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """What `partition` did. `ratio`: as asked for. `ties`: candidates at the border with equal scores, over rounds.

    `dynamic_ratio` counts entries, whatever the granularity, and `stored_share` stored weights: "30 % dynamic" may mean
    either, so both are said. Attention, biases and scales are not counted.
    """

    criterion: str
    granularity: str
    ratio: float
    ties: int
    layers: tuple[LayerModes, ...] = field(repr=False)

    @property
    def dynamic_ratio(self) -> float:
        """Share of all entries that are dynamic."""
        return sum(layer.dynamic for layer in self.layers) / sum(layer.total for layer in self.layers)

    @property
    def stored(self) -> int:
        """Weights of the deployed form of all layers."""
        return sum(layer.stored for layer in self.layers)

    @property
    def fully_dynamic(self) -> int:
        """Weights of the same layers without a partition: K n."""
        return sum(layer.kernels * layer.total for layer in self.layers)

    @property
    def stored_share(self) -> float:
        """Share of the stored weights that belong to kernels or experts."""
        return sum(layer.kernels * layer.dynamic for layer in self.layers) / self.stored


def describe_partition(
    layers: Mapping[str, DynamicLayer], *, criterion: str, granularity: str, ratio: float, ties: int
) -> PartitionReport:
    """The report of layers as they are now."""
    modes: list[LayerModes] = []
    for name, layer in layers.items():
        assert layer.partition is not None
        mask = layer.partition.mask
        modes.append(LayerModes(name=name, kernels=layer.num_kernels, total=mask.numel(), dynamic=int(mask.sum())))
    return PartitionReport(criterion=criterion, granularity=granularity, ratio=ratio, ties=ties, layers=tuple(modes))
