"""The deployed form of a whole model."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ...errors import ModelError
from ..layer import DynamicLayer
from .partition import dynamic_layers


@dataclass(frozen=True, kw_only=True)
class CompactReport:
    """Names of the layers that have their compact form now, and of those that stay as they were.

    `numbers`: weights that the former store; `before`: what they stored, static weights included.
    """

    layers: tuple[str, ...]
    left: tuple[str, ...]
    numbers: int
    before: int


def compact(model: nn.Module) -> CompactReport:
    """Give every partitioned layer of a model its compact form, in place: real bytes, and the same outputs.

    A layer stores (1 - kappa) n static weights once and K kappa n dynamic ones, with their factors folded in, and a bit
    for each weight, row or channel (`compact_weights.py`). Layers without a partition, which are dynamic as a whole,
    and those that are no mixture of kernels stay, and are named. Raises `ModelError` for a model without dynamic
    layers, and for one in which nothing is partitioned.
    """
    named = dynamic_layers(model)
    if not named:
        raise ModelError(f"{type(model).__name__} has no dynamic layer: make_dynamic(model, config) first")
    changed = {name: layer for name, layer in named.items() if _has_compact_form(layer)}
    if not changed:
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
    left = tuple(name for name in named if name not in changed)
    return CompactReport(layers=tuple(changed), left=left, numbers=numbers, before=before)


def _has_compact_form(layer: DynamicLayer) -> bool:
    return layer.mixes_kernels and layer.partition is not None
