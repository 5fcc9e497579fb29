"""Put the dense feed-forward layers of a converted model together again."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from ...anatomy import (
    MLP,
    DescribesAttention,
    ExpertWeights,
    LinearView,
    Site,
    describe,
    is_wrapper,
    linear_view,
    table_at,
)
from ...errors import ModelError
from ...hub.declaration import withdraw
from ..layer import MoEFFN
from ..routing.padding import hand_over_masks
from .dense_ffn import gate_and_up

Model = TypeVar("Model", bound=nn.Module)


def to_dense(model: Model) -> Model:
    """Put the dense FFNs and attentions together again, in place, whatever router, scale and alignment say.

    Exact when no expert was trained. A neuron that several experts hold comes from the first of them, a key/value head
    from the mean.

    Args:
        model: what `convert` made.

    Returns:
        The model.

    Raises:
        ModelError: there is nothing to restore, experts that may overlap do not hold every neuron, or each expert is a
            whole FFN (upcycling). The model stays as it was.
    """
    sites: dict[int, Site] = {}  # not views, which hold the weights of a mixture
    attention_is_mixed = False
    for block in describe(model).blocks:
        if block.mlp is not None and isinstance(block.mlp.site.get(), MoEFFN):
            sites[block.index] = block.mlp.site
        if block.attention is not None and isinstance(block.attention.site.get(), DescribesAttention):
            attention_is_mixed = True
    if not sites and not attention_is_mixed:
        raise ModelError("the model has no layer made by sparsebench.models.moe.convert")
    for site in sites.values():
        _check_complete(site)
    for index in sites:
        restore(model, index)
    if attention_is_mixed:
        from ..attention.convert_attention import attention_to_dense  # needs transformers, which this file does not

        attention_to_dense(model)
    hand_over_masks(model)
    withdraw(model, "moe")
    return model


@torch.no_grad()
def restore(model: nn.Module, index: int) -> None:
    """Put the dense FFN back into block `index`, where a complete `MoEFFN` stands."""
    mlp = describe(model).blocks[index].mlp
    assert mlp is not None
    layer: MoEFFN = mlp.site.get()
    mlp.replace(*restored_modules(layer))
    dense = describe(model).blocks[index].mlp
    assert dense is not None
    _fill(dense, layer)


def restored_modules(layer: MoEFFN) -> tuple[nn.Module, ...]:
    """The modules of the dense FFN that a mixture was cut from, for `MLP.replace`; their weights are yet to be filled.

    Args:
        layer: the mixture, whose device, dtype and mode they have.
    """
    return tuple(_with_memory(module, layer) for module in layer.template)


def dense_weights(layer: MoEFFN) -> ExpertWeights:
    """The dense FFN put together again; the bias of the down projection, which no expert has, excluded."""
    gates: list[Tensor | None] = []
    ups: list[Tensor | None] = []
    downs: list[Tensor] = []
    gate_biases: list[Tensor | None] = []
    up_biases: list[Tensor | None] = []
    for bank in (layer.shared, layer.experts):
        if bank is None:
            continue
        for expert in range(len(bank.sizes)):
            weights = bank.weights(expert)
            gates.append(weights.gate)
            ups.append(weights.up)
            downs.append(weights.down)
            gate_biases.append(weights.gate_bias)
            up_biases.append(weights.up_bias)
    # The neurons lie in the order of the experts, and one that two experts hold lies there twice.
    first_F = _first_places(layer.neurons)
    up = _joined(ups, first_F)
    assert up is not None
    return ExpertWeights(
        gate=_joined(gates, first_F),
        up=up,
        down=torch.cat(downs, dim=1)[:, first_F],
        gate_bias=_joined(gate_biases, first_F),
        up_bias=_joined(up_biases, first_F),
    )


def _first_places(neurons: Tensor) -> Tensor:
    """Where each neuron of the dense layer is stored first (hidden,)."""
    places = torch.arange(len(neurons), device=neurons.device)
    first_F = torch.empty(int(neurons.max()) + 1, dtype=torch.long, device=neurons.device)
    return first_F.scatter_reduce(0, neurons, places, "amin", include_self=False)


def _joined(rows: list[Tensor | None], first_F: Tensor) -> Tensor | None:
    """Rows of all experts in the order of the dense layer; None where experts have none (no gate, no bias)."""
    found = [row for row in rows if row is not None]
    if not found:
        return None
    return torch.cat(found)[first_F]


def _check_complete(site: Site) -> None:
    layer: MoEFFN = site.get()
    if layer.config.split == "whole":
        raise ModelError(
            f"{site.path}: each expert is a whole FFN of its own (split='whole'), so that there is no dense layer to "
            "put together; keep a copy of the dense model to go back"
        )
    if table_at(layer, "experts") is not None:
        raise ModelError(
            f"{site.path}: experts were merged, replaced or dropped while the router stayed as it was, so that there "
            "is no dense layer to put together; keep a copy of the dense model to go back"
        )
    for part in (layer.experts, layer.shared):
        if is_wrapper(part):
            raise ModelError(f"{site.path} has adapters in its experts: merge or remove them first")
    lost = layer.hidden - len(layer.neurons.unique())
    if lost:
        raise ModelError(
            f"{site.path}: {lost} of the {layer.hidden} neurons are in no expert, since split={layer.config.split!r} "
            "lets experts share neurons or experts were dropped; keep a copy of the dense model to go back"
        )


def _with_memory(module: nn.Module, layer: MoEFFN) -> nn.Module:
    like = layer.experts.down
    return copy.deepcopy(module).to_empty(device=like.device).to(like.dtype).train(layer.training)


def _fill(mlp: MLP, layer: MoEFFN) -> None:
    weights = dense_weights(layer)
    gate, up = gate_and_up(mlp)
    assert mlp.down is not None
    down = linear_view(mlp.down.get(), mlp.down.path)
    _write(gate, weights.gate, weights.gate_bias)
    _write(up, weights.up, weights.up_bias)
    _write(down, weights.down, layer.down_bias)


def _write(linear: LinearView | None, weight: Tensor | None, bias: Tensor | None) -> None:
    if linear is None or weight is None:
        return
    linear.weight.copy_(weight)
    if linear.bias is not None and bias is not None:
        linear.bias.copy_(bias)
