"""What a partition did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..convolution.attention_vector import AttentionVector
from ..layer import DynamicLayer


@dataclass(frozen=True, kw_only=True)
class Modes:
    """One part of a model: `total` entries, `dynamic` of which are dynamic."""

    name: str
    total: int
    dynamic: int

    @property
    def ratio(self) -> float:
        """Fraction of the entries that are dynamic (the paper's kappa)."""
        return self.dynamic / self.total

    @property
    def per_entry(self) -> int:
        """Numbers that a dynamic entry is made of."""
        raise NotImplementedError

    @property
    def stored(self) -> int:
        """Numbers of the deployed form: one of each static entry, `per_entry` of each dynamic one."""
        return self.total - self.dynamic + self.per_entry * self.dynamic


@dataclass(frozen=True, kw_only=True)
class LayerModes(Modes):
    """One layer: `total` entries of a kernel, `dynamic` of them in each of its `kernels`."""

    kernels: int

    @property
    def per_entry(self) -> int:
        """K."""
        return self.kernels


@dataclass(frozen=True, kw_only=True)
class AttentionModes(Modes):
    """One attention of an ODConv: `total` factors, `dynamic` of them made from `hidden` units."""

    hidden: int

    @property
    def per_entry(self) -> int:
        """Its row of weights and its bias."""
        return self.hidden + 1


@dataclass(frozen=True, kw_only=True)
class PartitionReport:
    """What `partition` did.

    Attentions that were not partitioned, biases and scales are not counted. `dynamic_ratio` counts entries, whatever
    the granularity, and `stored_share` stored numbers: "30 % dynamic" may mean either, so both are said.

    Attributes:
        criterion: what scored the candidates.
        granularity: what a candidate was.
        ratio: kappa, as asked for.
        ties: candidates at the border with equal scores, over rounds.
        layers: those whose kernels were partitioned.
        attentions: those of ODConv that were.
    """

    criterion: str
    granularity: str
    ratio: float
    ties: int
    layers: tuple[LayerModes, ...] = field(repr=False)
    attentions: tuple[AttentionModes, ...] = field(default=(), repr=False)

    @property
    def parts(self) -> tuple[Modes, ...]:
        """Layers, then attentions."""
        return (*self.layers, *self.attentions)

    @property
    def dynamic_ratio(self) -> float:
        """Fraction of all entries that are dynamic."""
        return sum(part.dynamic for part in self.parts) / sum(part.total for part in self.parts)

    @property
    def stored(self) -> int:
        """Numbers of the deployed form of all parts."""
        return sum(part.stored for part in self.parts)

    @property
    def fully_dynamic(self) -> int:
        """Numbers of the same parts without a partition: K n, of an attention (R + 1) C."""
        return sum(part.per_entry * part.total for part in self.parts)

    @property
    def stored_share(self) -> float:
        """Fraction of the stored numbers that belong to kernels, experts or rows of attentions."""
        return sum(part.per_entry * part.dynamic for part in self.parts) / self.stored


def layer_modes(layers: Mapping[str, DynamicLayer]) -> tuple[LayerModes, ...]:
    """How many entries of each layer are dynamic now."""
    modes: list[LayerModes] = []
    for name, layer in layers.items():
        assert layer.partition is not None
        mask = layer.partition.mask
        modes.append(LayerModes(name=name, kernels=layer.num_kernels, total=mask.numel(), dynamic=int(mask.sum())))
    return tuple(modes)


def attention_modes(vectors: Mapping[str, AttentionVector]) -> tuple[AttentionModes, ...]:
    """How many factors of each attention are dynamic now."""
    modes: list[AttentionModes] = []
    for name, vector in vectors.items():
        assert vector.partition is not None
        mask = vector.partition.mask
        modes.append(AttentionModes(name=name, hidden=vector.hidden, total=mask.numel(), dynamic=int(mask.sum())))
    return tuple(modes)
