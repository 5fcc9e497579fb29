"""Turn the dense feed-forward layers of a model into mixtures of experts, and back."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..anatomy import MLP, Site, describe, is_linear
from ..errors import ModelError
from .calibration import FFNStatistics, calibrate
from .config import MoEConfig
from .experts import ExpertBank
from .layer import MoEFFN, dense_weights
from .router import LinearRouter, centroids
from .splits import Partition, partition

Model = TypeVar("Model", bound=nn.Module)


def convert(model: Model, config: MoEConfig, calibration: Iterable[Any] | None = None) -> Model:
    """Replace every gated or plain FFN of `model`, in place, by a mixture of its own neurons; return the model.

    `calibration` is an iterable of batches, passed as `model(**batch)` if they are mappings, else as `model(batch)`,
    or the records that `calibrate` returned (they serve any number of conversions). With it, shared neurons are those
    of greatest `FFNStatistics.importance`; without it they are random. Raises `ModelError`, and leaves the model
    untouched, when a block has no FFN that can be cut, is converted already or quantised, or has fewer neurons than
    experts, and when the data are missing, empty or not finite.
    """
    mlps = _convertible(model, config)
    statistics = _statistics(model, config, calibration, len(mlps))
    generator = torch.Generator().manual_seed(config.seed)
    layers = [_moe_layer(mlp, config, record, generator) for mlp, record in zip(mlps, statistics, strict=True)]
    for mlp, layer in zip(mlps, layers, strict=True):
        mlp.replace(layer)
    return model


def to_dense(model: Model) -> Model:
    """Put the dense FFNs together again, in place, whatever the router says; exact when no expert was trained."""
    sites = [block.mlp for block in describe(model).blocks if block.mlp and isinstance(block.mlp.site.get(), MoEFFN)]
    if not sites:
        raise ModelError("the model has no layer made by sparsebench.models.moe.convert")
    layers = {id(mlp.site.parent): mlp.site.get() for mlp in sites}
    for mlp in sites:
        module, tail = mlp.site.get().template
        like = mlp.site.get().experts.down
        mlp.replace(_with_memory(module, like), None if tail is None else _with_memory(tail, like))
    for block in describe(model).blocks:
        if block.mlp and id(block.mlp.site.parent) in layers:
            _fill(block.mlp, layers[id(block.mlp.site.parent)])
    return model


def _convertible(model: nn.Module, config: MoEConfig) -> list[MLP]:
    mlps = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    if not mlps:
        raise ModelError(f"{type(model).__name__} has no feed-forward layer to convert")
    for mlp in mlps:
        _check(mlp, config)
    return mlps


def _check(mlp: MLP, config: MoEConfig) -> None:
    path = mlp.site.path
    if mlp.kind == "moe":
        raise ModelError(f"{path} is a mixture of experts already")
    if mlp.kind == "conv":
        raise ModelError(f"{path} is a convolutional block: only gated and plain FFNs can be cut into experts")
    for site in mlp.linears:
        if not is_linear(site.get()):
            raise ModelError(
                f"{site.path} is a {type(site.get()).__name__}: conversion needs a plain nn.Linear with floating-point "
                "weights (dequantise it, or remove its adapter, first)"
            )
    if mlp.hidden < config.num_experts:
        raise ModelError(f"{path} has {mlp.hidden} hidden neurons, fewer than num_experts={config.num_experts}")
    inside = set(_ffn_module(mlp).parameters()) - {p for site in mlp.linears for p in site.get().parameters()}
    if inside:
        raise ModelError(f"{path} holds parameters beside its linear layers (a norm?), which cannot be cut")
    if any(isinstance(child, nn.Dropout) and child.p > 0 for child in _ffn_module(mlp).modules()):
        raise ModelError(f"{path} has dropout inside the FFN, which a conversion would lose: set its p to 0")


def _ffn_module(mlp: MLP) -> nn.ModuleList:
    return nn.ModuleList([mlp.site.get()] if mlp.tail is None else [mlp.site.get(), mlp.tail.get()])


def _statistics(
    model: nn.Module, config: MoEConfig, calibration: Iterable[Any] | None, blocks: int
) -> Sequence[FFNStatistics | None]:
    if calibration is None:
        if config.router_init == "energy":
            raise ModelError("router_init='energy' needs calibration batches: convert(model, config, batches)")
        return [None] * blocks
    if isinstance(calibration, list) and calibration and isinstance(calibration[0], FFNStatistics):
        return calibration
    if config.router_init != "energy" and config.num_shared == 0:
        return [None] * blocks
    return calibrate(model, calibration)


@torch.no_grad()
def _moe_layer(mlp: MLP, config: MoEConfig, statistics: FFNStatistics | None, generator: torch.Generator) -> MoEFFN:
    assert mlp.up is not None and mlp.down is not None
    down = mlp.down.get()
    down_norm = down.weight.norm(dim=0).float()
    importance = None if statistics is None else statistics.importance(down_norm).cpu()
    parts = partition(mlp.hidden, config, importance, generator)
    shared = [_bank(mlp, (parts.shared,))] if config.num_shared else [None]
    layer = MoEFFN(
        router=LinearRouter(config, _router_weight(mlp, config, parts, statistics, generator)),
        experts=_bank(mlp, parts.experts),
        shared=shared[0],
        down_bias=None if down.bias is None else down.bias.clone(),
        neurons=parts.order.to(down.weight.device),
        template=(_without_memory(mlp.site), None if mlp.tail is None else _without_memory(mlp.tail)),
    )
    layer.train(mlp.site.get().training)
    return layer.requires_grad_(down.weight.requires_grad)


def _bank(mlp: MLP, groups: Sequence[Tensor]) -> ExpertBank:
    assert mlp.up is not None and mlp.down is not None and mlp.activation is not None
    gate, up = None if mlp.gate is None else mlp.gate.get(), mlp.up.get()
    return ExpertBank.of(
        groups,
        gate=None if gate is None else gate.weight,
        up=up.weight,
        down=mlp.down.get().weight,
        gate_bias=None if gate is None else gate.bias,
        up_bias=up.bias,
        activation=mlp.activation,
    )


def _router_weight(
    mlp: MLP,
    config: MoEConfig,
    parts: Partition,
    statistics: FFNStatistics | None,
    generator: torch.Generator,
) -> Tensor:
    assert mlp.down is not None
    weight = mlp.down.get().weight
    if config.router_init == "energy":
        assert statistics is not None
        return centroids(statistics, parts, weight.norm(dim=0).float()).to(weight.dtype)
    rows = torch.zeros(config.num_routed, mlp.width)
    if config.router_init == "random":
        rows.normal_(0, 0.02, generator=generator)
    return rows.to(weight.device, weight.dtype)


def _without_memory(site: Site) -> nn.Module:
    """A copy of a module whose parameters and buffers lie on the meta device."""
    module = site.get()
    memo = {id(p): nn.Parameter(p.to("meta"), requires_grad=p.requires_grad) for p in module.parameters()}
    memo |= {id(b): b.to("meta") for b in module.buffers()}
    return copy.deepcopy(module, memo)  # type: ignore[arg-type]


def _with_memory(module: nn.Module, like: Tensor) -> nn.Module:
    return copy.deepcopy(module).to_empty(device=like.device).to(like.dtype)


@torch.no_grad()
def _fill(mlp: MLP, layer: MoEFFN) -> None:
    assert mlp.up is not None and mlp.down is not None
    weights, bias = dense_weights(layer)
    inward = [(mlp.gate, weights.gate), (mlp.up, weights.up)]
    linears = [(site.get(), weight) for site, weight in inward if site is not None]
    biases = [None] * len(linears) if bias is None else bias.chunk(len(linears))
    for (linear, weight), values in zip(linears, biases, strict=True):
        linear.weight.copy_(weight)
        if values is not None:
            linear.bias.copy_(values)
    mlp.down.get().weight.copy_(weights.down)
    if layer.down_bias is not None:
        mlp.down.get().bias.copy_(layer.down_bias)
