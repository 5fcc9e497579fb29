"""What a model has that can be dynamic in part, by kind: kernels of its layers, attentions of ODConv."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...sparsity.scoring import Evidence
from ..convolution.attention_vector import AttentionVector
from ..convolution.fd_conv import FDConv2d
from ..convolution.od_conv import OmniAttention
from ..convolution.warehouse import WarehouseConv2d
from ..layer import DynamicLayer
from ..partially_dynamic import PartiallyDynamic
from .attention_scores import PartitionableAttentions
from .candidates import OpenMask
from .scores import Criterion, Partitionable, Scored

Of = Literal["kernels", "attentions", "both"]

NEVER_IN_PART = (FDConv2d, WarehouseConv2d)
"""Layers that are dynamic and no `DynamicLayer`: their kernels are parts of one, or mixtures of cells that are shared.

No bank of kernels of their own is there, of which a part could be static.
"""


def dynamic_layers(model: nn.Module) -> dict[str, DynamicLayer]:
    """The dynamic layers of a model by dotted name, one that several modules share under its first name.

    Args:
        model: any model.
    """
    return {name: module for name, module in model.named_modules() if isinstance(module, DynamicLayer)}


def attention_vectors(model: nn.Module) -> dict[str, AttentionVector]:
    """The attentions of ODConv that can have a partition: for input channels, filters and taps, by dotted name."""
    return {name: module for name, module in model.named_modules() if isinstance(module, AttentionVector)}


@dataclass(frozen=True, kw_only=True)
class Kernels:
    """Dynamic layers by name, whose kernels are partitioned."""

    named: Mapping[str, DynamicLayer]

    def scored(self, masks: Sequence[OpenMask], evidence: Evidence, criterion: Criterion) -> Scored:
        """What scores are taken from."""
        return Partitionable(layers=list(self.named.values()), masks=masks, evidence=evidence, criterion=criterion)

    def start(self, name: str) -> Tensor | None:
        """The static weight to begin with; None is the layer's own choice, the mean of the kernels."""
        return None


@dataclass(frozen=True, kw_only=True)
class Attentions:
    """Attention vectors by name, and the constants (C,) that the factors of each begin with."""

    named: Mapping[str, AttentionVector]
    starts: Mapping[str, Tensor]

    def scored(self, masks: Sequence[OpenMask], evidence: Evidence, criterion: Criterion) -> Scored:
        """What scores are taken from."""
        vectors = list(self.named.values())
        return PartitionableAttentions(vectors=vectors, masks=masks, evidence=evidence, criterion=criterion)

    def start(self, name: str) -> Tensor | None:
        """What the attention gives for a hidden vector of zeros, at its temperature."""
        return self.starts[name]


Kind = Kernels | Attentions
"""Parts of one kind are ranked with each other, and each kind keeps its fraction."""


def find_parts(model: nn.Module, of: Of) -> list[Kind]:
    """What `of` names, dynamic as a whole. Raises `ModelError` where it is not there, or not dynamic as a whole."""
    layers = dynamic_layers(model)
    if not layers:
        raise nothing_to_partition(model)
    found: list[Kind] = []
    if of != "attentions":
        found.append(Kernels(named=layers))
    if of != "kernels":
        found.append(_attentions(model, layers))
    for kind in found:
        for name, part in kind.named.items():
            _check_whole(name, part)
    return found


def nothing_to_partition(model: nn.Module) -> ModelError:
    """What is wrong where a model has no `DynamicLayer`: nothing dynamic, or nothing that can be dynamic in part."""
    name = type(model).__name__
    there = [module for module in model.modules() if isinstance(module, NEVER_IN_PART)]
    if not there:
        return ModelError(f"{name} has no dynamic layer: make_dynamic(model, config) first")
    kinds = " and ".join(sorted({type(layer).__name__ for layer in there}))
    return ModelError(
        f"{name} has {len(there)} dynamic layers, all of them {kinds}, which have no partition and no compact form: "
        "they mix no kernels of their own. Those of ConvConfig (DY-Conv, CondConv, ODConv), MixtureConfig and "
        "TimmCondConv have both"
    )


def parts_of(kinds: Sequence[Kind]) -> dict[str, PartiallyDynamic]:
    """All parts by name, in the order of their candidates."""
    found: dict[str, PartiallyDynamic] = {}
    for kind in kinds:
        found.update(kind.named)
    return found


def check_of(of: str, static: str = "mean") -> None:
    """Raise `ModelError` for something else than kernels and attentions, and for what attentions cannot have."""
    check_choice("of", of, get_args(Of))
    if of != "kernels" and static == "random":
        raise ModelError(
            f"static='random' is the released law of kernels, and there is none of attentions: take static='mean' "
            f"with of={of!r}"
        )


def _attentions(model: nn.Module, layers: Mapping[str, DynamicLayer]) -> Attentions:
    named: dict[str, AttentionVector] = {}
    starts: dict[str, Tensor] = {}
    for path, attention in model.named_modules():
        if isinstance(attention, OmniAttention):
            for name, vector in attention.vectors().items():
                full = f"{path}.{name}"
                named[full] = vector
                if vector.compact is None:
                    starts[full] = vector.static_start(attention.temperature)
    if not named:
        there = sorted({type(layer).__name__ for layer in layers.values()})
        raise ModelError(
            f"of the dynamic layers only ODConv2d has attentions that can be partitioned, and this "
            f"{type(model).__name__} has none: its {len(layers)} dynamic layers are {', '.join(there)}. Take "
            "of='kernels', or make_dynamic(model, ConvConfig(kind='od_conv')) before"
        )
    return Attentions(named=named, starts=starts)


def _check_whole(name: str, part: DynamicLayer | AttentionVector) -> None:
    if part.compact is not None:
        raise ModelError(f"{name} has its compact form, whose partition is fixed: partition before compact(model)")
    if part.partition is not None and part.partition.ratio < 1:
        raise ModelError(
            f"{name} is partitioned already, {part.partition.ratio:.3g} of it is dynamic: a partition starts from "
            "a model that is dynamic as a whole"
        )
