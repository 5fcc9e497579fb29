"""The deployed form of a whole model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ...errors import ModelError
from ...hub.declaration import declare
from ..layer import DynamicLayer
from .parts import attention_vectors, dynamic_layers, nothing_to_partition


@dataclass(frozen=True, kw_only=True)
class CompactReport:
    """What `compact` did.

    Attributes:
        layers: names of the layers that have their compact form now.
        left: names of those that stay as they were.
        numbers: weights that layers and attentions store now.
        before: what they stored, static weights included.
        attentions: those of ODConv that have their compact form now; one without a partition stays in its layer.
    """

    layers: tuple[str, ...]
    left: tuple[str, ...]
    numbers: int
    before: int
    attentions: tuple[str, ...] = ()


def compact(model: nn.Module) -> CompactReport:
    """Give every partitioned part of a model its compact form, in place: real bytes, and the same outputs.

    A layer stores (1 - kappa) n static weights once and K kappa n dynamic ones, with their factors folded in, and a bit
    for each weight, row or channel (`compact_weights.py`). A partitioned attention of ODConv stores the rows of its
    dynamic factors, the constants of the others and a bit for each (`convolution/compact_vector.py`). Layers without a
    partition of their kernels and those that are no mixture of kernels stay, and are named.

    Args:
        model: what `partition` made.

    Returns:
        Which layers and attentions changed, which did not, and the numbers stored before and after.

    Raises:
        ModelError: a model without dynamic layers, and one in which nothing is partitioned.
    """
    named = dynamic_layers(model)
    if not named:
        raise nothing_to_partition(model)
    changed = {name: layer for name, layer in named.items() if _has_compact_form(layer)}
    vectors = {name: one for name, one in attention_vectors(model).items() if one.partition is not None}
    if not changed and not vectors:
        raise ModelError(
            f"none of the {len(named)} dynamic layers of this {type(model).__name__} has a partition and a compact "
            "form: partition(model, ratio) first"
        )
    before = 0
    numbers = 0
    for layer in changed.values():
        before += layer.bank.numel() + layer.weight_shape.numel()
        layer.take_compact_form()
        numbers += layer.dynamic_parameters() + layer.static_parameters()
    for vector in vectors.values():
        before += sum(parameter.numel() for parameter in vector.parameters())
        vector.take_compact_form()
        numbers += sum(parameter.numel() for parameter in vector.parameters())
    declare(model, "dynamic")
    left = tuple(name for name in named if name not in changed)
    return CompactReport(layers=tuple(changed), left=left, numbers=numbers, before=before, attentions=tuple(vectors))


def _has_compact_form(layer: DynamicLayer) -> bool:
    return layer.mixes_kernels and layer.partition is not None
