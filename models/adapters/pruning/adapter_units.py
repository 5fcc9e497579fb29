"""The bottlenecks of a set of adapters, and the removal of their dead units."""

from __future__ import annotations

from collections.abc import Iterator

from torch import nn

from ...sparsity.bottleneck_units import Pair, pair_of, remove_dead
from ...sparsity.masked import Masked
from ..adapter_set import AdapterSet
from ..kinds.lora import LoRALayer


def pairs(adapters: AdapterSet) -> list[Pair]:
    """The pairs of a set.

    A module has one when it has attributes `down` and `up` that are `Masked`, with what lies between them, if anything,
    as `activation`. A LoRA layer has one for each of its spans, without anything between.
    """
    found: list[Pair] = []
    for name, owner in _owners(adapters):
        found.extend(_pairs_of(name, owner))
    return found


def remove_dead_units(adapters: AdapterSet) -> dict[str, int]:
    """Take out units that pruning left without input or output weights.

    Lossless in eval mode: a unit with an empty column of `up` puts out nothing. One with an empty row of `down` puts
    out the constant act(b_j) U_:j, which is added to the bias of `up`; where `up` has no bias, only units whose
    constant is 0 go. Makes new parameters: make the optimizer afterwards.

    Args:
        adapters: a pruned set.

    Returns:
        How many units went, by the name of the pair of projections.

    Raises:
        ModelError: a projection belongs to several pairs. Nothing is removed.
    """
    found = pairs(adapters)
    for pair in found:
        pair_of(pair.down, found)
        pair_of(pair.up, found)
    return {pair.name: remove_dead(pair) for pair in found}


def _owners(adapters: AdapterSet) -> Iterator[tuple[str, nn.Module]]:
    """Every module that may have pairs: the layers, and all that lies in the modules that they added."""
    yield from adapters.layers()
    for name, module in adapters.modules().items():
        for inner, child in module.named_modules():
            yield f"{name}.{inner}".rstrip("."), child


def _pairs_of(name: str, owner: nn.Module) -> Iterator[Pair]:
    if isinstance(owner, LoRALayer):
        for i, (lora_A, lora_B) in enumerate(zip(owner.lora_A, owner.lora_B, strict=True)):
            assert isinstance(lora_A, Masked) and isinstance(lora_B, Masked)
            yield Pair(name=f"{name}.{i}", owner=owner, down=lora_A, up=lora_B)
        return
    down = getattr(owner, "down", None)
    up = getattr(owner, "up", None)
    if isinstance(down, Masked) and isinstance(up, Masked):
        activation = getattr(owner, "activation", None)
        yield Pair(name=name, owner=owner, down=down, up=up, activation=activation)
