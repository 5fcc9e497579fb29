"""What the routers of a converted model do: balance loss, load, and parameters at work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from ...counting import count_parameters
from ...errors import ModelError
from .counts import RoutingCounts, entropy

# Shapes: N routed experts.


@runtime_checkable
class Routed(Protocol):
    """A layer with a router of ours: the balance loss of its last training pass, and its counts while `counting`."""

    aux: Tensor | None
    counts: RoutingCounts | None
    counting: bool


@dataclass(frozen=True, kw_only=True)
class RouterStats:
    """One layer's routing of the tokens seen inside `watch`.

    `load` (N,): share of the choices that went to each expert; `importance` (N,): share of the weight; both sum to 1.
    `load_entropy`: entropy of `load`, log N when it is even. `token_entropy`: mean entropy of a token's router
    probabilities, 0 when the router is certain. In nats.
    """

    layer: str
    tokens: int
    load: Tensor
    importance: Tensor
    load_entropy: float
    token_entropy: float


@contextmanager
def watch(model: nn.Module) -> Iterator[None]:
    """Count, for `router_stats`, what the routers do inside this context. A new context starts from zero."""
    layers = _layers(model)
    for layer in layers.values():
        layer.counts = RoutingCounts()
        layer.counting = True
    try:
        yield
    finally:
        for layer in layers.values():
            layer.counting = False


def router_stats(model: nn.Module) -> list[RouterStats]:
    """Load, importance and entropy of every converted layer, over the tokens seen in the last `watch(model)`.

    Raises `ModelError` when there is no converted layer or none has seen a token.
    """
    stats = [_stats(name, layer.counts) for name, layer in _layers(model).items() if layer.counts is not None]
    if not stats or not any(layer.tokens for layer in stats):
        raise ModelError("no router has seen a token: run the model inside `with watch(model):` first")
    return stats


def aux_loss(model: nn.Module) -> Tensor:
    """Balance losses of the last forward pass in training mode, coefficient included, summed over layers.

    Add it to the loss of that forward pass (of each micro-batch, when gradients accumulate). A scalar; 0 for a model
    that has not run in training mode or has nothing to balance. A forward pass without gradients gives the value alone.
    """
    device = next((parameter.device for parameter in model.parameters()), torch.device("cpu"))
    total = torch.zeros((), device=device)
    for module in model.modules():
        if isinstance(module, Routed) and module.aux is not None:
            total = total + module.aux.to(device)
    return total


def active_params(model: nn.Module) -> int:
    """Parameters that work on one token, of a converted model or any other; routed experts count k / N."""
    return count_parameters(model).active


def _layers(model: nn.Module) -> dict[str, Routed]:
    layers = {name: module for name, module in model.named_modules() if isinstance(module, Routed)}
    if not layers:
        raise ModelError("the model has no layer made by sparsebench.models.moe.convert")
    return layers


def _stats(name: str, seen: RoutingCounts) -> RouterStats:
    load = seen.picks / seen.picks.sum().clamp_min(1)
    importance = seen.weight
    if importance.sum() > 0:
        importance = importance / importance.sum()
    return RouterStats(
        layer=name,
        tokens=seen.tokens,
        load=load,
        importance=importance,
        load_entropy=float(entropy(load)),
        token_entropy=float(seen.entropy / max(seen.tokens, 1)),
    )
