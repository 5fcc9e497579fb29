"""Layer Drop: mixtures, or dense FFNs, leave the model with their norms; the residual connection stays.

He et al., "Towards Efficient Mixture of Experts: A Holistic Study of Compression Techniques" (arXiv 2406.02500), Layer
Drop. A block without its FFN passes x' as it is, never x' + Norm(x').
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from torch import nn

from ...anatomy import describe
from ...errors import ModelError, check_choice
from .absent import without
from .dropped import Dropped, drop_parts

Layers = Literal["mixtures", "all"]
"""Mixtures of experts alone (dense layers of the same model, such as DeepSeek's first, never go); or every FFN."""


def droppable_layers(model: nn.Module, layers: Layers = "mixtures") -> list[int]:
    """Indices of the blocks whose FFN can be dropped.

    Args:
        model: a model whose anatomy is known.
        layers: "mixtures" of experts only, or "all" FFNs.

    Returns:
        The indices, in order.

    Raises:
        ModelError: there is none, or one cannot be taken out (adapters lie around it, or the view does not know its
            norms): nothing is passed over.
    """
    check_choice("layers", layers, ("mixtures", "all"))
    found: list[int] = []
    for block in describe(model).blocks:
        if block.mlp is None or block.mlp.kind == "conv" or (layers == "mixtures" and block.mlp.kind != "moe"):
            continue
        with without(block, mlp=True):
            found.append(block.index)
    if not found and layers == "mixtures":
        raise ModelError(f"{type(model).__name__} has no mixture of experts to drop; layers='all' drops dense FFNs")
    if not found:
        raise ModelError(f"{type(model).__name__} has no FFN to drop")
    return found


def drop_layers(model: nn.Module, blocks: Iterable[int]) -> Dropped:
    """Take the FFNs of blocks out, shared experts included, in place.

    The model decodes with a cache as before, and saves and loads; one of transformers is then of this package's class
    for changed models.

    Args:
        model: a model whose anatomy is known.
        blocks: their indices.

    Returns:
        What went, by path, with its parameters and bytes.

    Raises:
        ModelError: an FFN is not there or cannot be taken out. Nothing changes.

    Example: `drop_layers(model, choose(droppable_layers(model), 2, similarity=layer_similarity(model, batches)))`.
    """
    return drop_parts(model, blocks, "mlp")
