"""Put the dense feed-forward layers of a converted model together again."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..anatomy import MLP, DescribesAttention, ExpertWeights, Site, describe
from ..errors import ModelError
from .layer import MoEFFN

Model = TypeVar("Model", bound=nn.Module)


def to_dense(model: Model) -> Model:
    """Put the dense FFNs and attentions together again, in place, whatever router, scale and alignment say.

    Returns the model. Exact when no expert was trained. A neuron that several experts hold comes from the first of
    them, a key/value head from the mean. Raises `ModelError`, and leaves the model untouched, when there is nothing to
    restore or experts that share neurons left some out.
    """
    blocks = describe(model).blocks
    sites = {block.index: block.mlp.site for block in blocks if block.mlp and isinstance(block.mlp.site.get(), MoEFFN)}
    mixed = any(block.attention and isinstance(block.attention.site.get(), DescribesAttention) for block in blocks)
    if not sites and not mixed:
        raise ModelError("the model has no layer made by sparsebench.models.moe.convert")
    for site in sites.values():
        _check_complete(site)
    for index in sites:
        restore(model, index)
    if mixed:
        from .attention.convert_attention import attention_to_dense  # needs transformers, which this file does not

        attention_to_dense(model)
    return model


@torch.no_grad()
def restore(model: nn.Module, index: int) -> None:
    """Put the dense FFN back into block `index`, where a complete `MoEFFN` stands."""
    mlp = describe(model).blocks[index].mlp
    assert mlp is not None
    layer: MoEFFN = mlp.site.get()
    module, tail = (None if part is None else _with_memory(part, layer) for part in layer.template)
    assert module is not None
    mlp.replace(module, tail)
    dense = describe(model).blocks[index].mlp
    assert dense is not None
    _fill(dense, layer)


def dense_weights(layer: MoEFFN) -> tuple[ExpertWeights, tuple[Tensor | None, Tensor | None]]:
    """Gate, up and down matrices of the dense FFN, and the bias of gate and of up, put together again."""
    banks = [layer.experts] if layer.shared is None else [layer.shared, layer.experts]
    parts = [bank.weights(expert) for bank in banks for expert in range(len(bank.sizes))]
    biases = [bank.bias_of(expert) for bank in banks for expert in range(len(bank.sizes))]
    first = _first_places(layer.neurons)
    gate, up = ([part[side] for part in parts] for side in (0, 1))
    weights = ExpertWeights(_joined(gate, first), _present(_joined(up, first)), _down(parts, first))
    return weights, (_joined([bias[0] for bias in biases], first), _joined([bias[1] for bias in biases], first))


def _first_places(neurons: Tensor) -> Tensor:
    """Where each neuron of the dense layer is stored first (hidden,)."""
    places = torch.arange(len(neurons), device=neurons.device).flip(0)
    first = torch.empty(int(neurons.max()) + 1, dtype=torch.long, device=neurons.device)
    return first.scatter_reduce(0, neurons.flip(0), places, "amin", include_self=False)


def _joined(rows: list[Tensor | None], first: Tensor) -> Tensor | None:
    found = [row for row in rows if row is not None]
    return torch.cat(found)[first] if found else None


def _present(rows: Tensor | None) -> Tensor:
    assert rows is not None
    return rows


def _down(parts: list[ExpertWeights], first: Tensor) -> Tensor:
    return torch.cat([part.down for part in parts], dim=1)[:, first]


def _check_complete(site: Site) -> None:
    layer: MoEFFN = site.get()
    lost = layer.hidden - len(layer.neurons.unique())
    if lost:
        raise ModelError(
            f"{site.path}: {lost} of the {layer.hidden} neurons are in no expert, since split={layer.config.split!r} "
            "lets experts share neurons; keep a copy of the dense model to go back"
        )


def _with_memory(module: nn.Module, layer: MoEFFN) -> nn.Module:
    like = layer.experts.down
    return copy.deepcopy(module).to_empty(device=like.device).to(like.dtype).train(layer.training)


def _fill(mlp: MLP, layer: MoEFFN) -> None:
    assert mlp.up is not None and mlp.down is not None
    weights, biases = dense_weights(layer)
    inward = [(mlp.gate, weights.gate, biases[0]), (mlp.up, weights.up, biases[1])]
    for site, weight, bias in inward:
        if site is None:
            continue
        site.get().weight.copy_(weight)
        if site.get().bias is not None:
            site.get().bias.copy_(bias)
    mlp.down.get().weight.copy_(weights.down)
    if layer.down_bias is not None:
        mlp.down.get().bias.copy_(layer.down_bias)
