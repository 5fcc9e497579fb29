"""Turn the dense feed-forward layers of a model into mixtures of experts."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ..anatomy import MLP, Site, describe, is_linear
from ..calibration.ffn_samples import Calibration, FFNSample, calibrate
from ..errors import ModelError
from .config import MoEConfig
from .dense_ffn import DenseFFN
from .layer import Alignment, MoEFFN
from .output_alignment import fit
from .restoration import restore
from .router_init import make_router
from .routing.router import Router
from .splits import Partition, SplitInput, partition

Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """All that is new in one layer; its experts are copies of dense neurons and can be made at any time."""

    block: int
    mlp: MLP
    parts: Partition
    router: Router
    alignment: Alignment | None


def convert(model: Model, config: MoEConfig, calibration: Calibration | Iterable[Any] | None = None) -> Model:
    """Replace the gated or plain FFNs of `model`, in place, by mixtures of their own neurons; return the model.

    `calibration` is what `calibrate` returned (it serves any number of conversions of the same model), or an iterable
    of batches, passed as `model(**batch)` if they are mappings, else as `model(batch)`. `config.needs` says what it is
    used for; only the choice of shared neurons can do without, and is then random. The router is trainable, like the
    experts, if the down projection was. Memory stays near that of the model plus one layer.

    Raises `ModelError`, and leaves the model untouched, when a block has no FFN that can be cut, is converted already
    or quantised, or has fewer neurons than experts, and when the data are missing, empty, not finite or of another
    model.
    """
    generator = torch.Generator().manual_seed(config.seed)
    plans = _plans(model, config, calibration, generator)
    if config.attn is None:
        _swap(model, plans, config)
        return model
    from .attention.convert_attention import (  # needs transformers, which this file does not
        attention_to_dense,
        convert_attention,
    )

    convert_attention(model, config.attn, generator, layers=config.layers)
    try:
        _swap(model, plans, config)
    except BaseException:
        attention_to_dense(model)
        raise
    return model


def _plans(
    model: nn.Module,
    config: MoEConfig,
    calibration: Calibration | Iterable[Any] | None,
    generator: torch.Generator,
) -> deque[_Plan]:
    mlps = _convertible(model, config)
    seen = _calibration(model, config, calibration)
    return deque(_plan(block, mlp, config, seen, place, generator) for place, (block, mlp) in mlps.items())


def _convertible(model: nn.Module, config: MoEConfig) -> dict[int, tuple[int, MLP]]:
    """Block and FFN of each layer to convert, by the place of the FFN among all FFNs of the model."""
    blocks = describe(model).blocks
    found = [(index, block.mlp) for index, block in enumerate(blocks) if block.mlp is not None]
    if config.layers != "all":
        _check_layers(config.layers, len(blocks), {index for index, _ in found})
    mlps = {
        place: (index, mlp)
        for place, (index, mlp) in enumerate(found)
        if config.layers == "all" or index in config.layers
    }
    if not mlps:
        raise ModelError(f"{type(model).__name__} has no feed-forward layer to convert")
    for _, mlp in mlps.values():
        _check(mlp, config)
    return mlps


def _check_layers(layers: tuple[int, ...], blocks: int, with_ffn: set[int]) -> None:
    for index in layers:
        if index not in with_ffn:
            reason = "has no feed-forward layer" if index < blocks else f"does not exist: there are {blocks} blocks"
            raise ModelError(f"layers={layers}: block {index} {reason}")


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


def _calibration(
    model: nn.Module, config: MoEConfig, calibration: Calibration | Iterable[Any] | None
) -> Calibration | None:
    needs = config.needs
    if calibration is None:
        if config.requires:
            raise ModelError(
                f"{_reason(config)} needs calibration data ({' and '.join(sorted(config.requires))}): "
                "convert(model, config, batches)"
            )
        return None
    if not needs:
        return None
    if not isinstance(calibration, Calibration):
        return calibrate(model, calibration, gradients="gradients" in needs)
    _check_samples(model, calibration)
    if "gradients" in needs and any(sample.dh is None for sample in calibration.samples):
        raise ModelError(f"{_reason(config)} needs gradients: calibrate(model, batches, gradients=True)")
    return calibration


def _reason(config: MoEConfig) -> str:
    """The setting that needs data, for messages."""
    if config.router_init in ("energy", "centroids"):
        return f"router_init={config.router_init!r}"
    if config.scale == "calibrated":
        return "scale='calibrated'"
    if config.align:
        return "align=True"
    if config.router == "glu":
        return "router='glu'"
    return f"split={config.split!r} with importance={config.importance!r}"


def _check_samples(model: nn.Module, calibration: Calibration) -> None:
    mlps = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    same = len(mlps) == len(calibration.samples) and all(
        (mlp.width, mlp.hidden) == (sample.x.shape[1], sample.h.shape[1])
        for mlp, sample in zip(mlps, calibration.samples, strict=True)
        if mlp.kind != "moe"
    )
    if not same:
        raise ModelError(f"the calibration is of another model than this {type(model).__name__} with {len(mlps)} FFNs")


@torch.no_grad()
def _plan(
    block: int,
    mlp: MLP,
    config: MoEConfig,
    calibration: Calibration | None,
    place: int,
    generator: torch.Generator,
) -> _Plan:
    dense = DenseFFN.of(mlp)
    sample = None if calibration is None else calibration.samples[place]
    parts = partition(_split_input(dense, config, calibration, sample, generator))
    router = make_router(config, dense, parts, sample, generator)
    plan = _Plan(block=block, mlp=mlp, parts=parts, router=router, alignment=None)
    layer = _layer(plan, config)  # also shows that these experts can be made
    fit(layer, dense, sample, config)
    return _Plan(block=block, mlp=mlp, parts=parts, router=router, alignment=layer.alignment)


def _split_input(
    dense: DenseFFN,
    config: MoEConfig,
    calibration: Calibration | None,
    sample: FFNSample | None,
    generator: torch.Generator,
) -> SplitInput:
    return SplitInput(
        gate=dense.gate,
        up=dense.up,
        down=dense.down,
        activation=dense.activation,
        gated=dense.gate is not None,
        sample=sample,
        document=None if calibration is None else calibration.document,
        embedding=None if calibration is None else calibration.embedding,
        config=config,
        generator=generator,
    )


def _layer(plan: _Plan, config: MoEConfig) -> MoEFFN:
    mlp, dense, parts = plan.mlp, DenseFFN.of(plan.mlp), plan.parts
    layer = MoEFFN(
        config=config,
        router=plan.router,
        experts=dense.bank(parts.experts),
        shared=dense.bank([parts.shared]) if len(parts.shared) else None,
        down_bias=None if dense.down_bias is None else dense.down_bias.clone(),
        neurons=parts.order.to(dense.up.device),
        hidden=mlp.hidden,
        template=(_without_memory(mlp.site), None if mlp.tail is None else _without_memory(mlp.tail)),
    )
    layer.alignment = plan.alignment
    return layer


@dataclass(frozen=True, kw_only=True)
class _Swapped:
    """A replaced layer; `dense` is kept only where the mixture has lost neurons."""

    block: int
    site: Site
    tail: Site | None
    dense: tuple[nn.Module, nn.Module | None] | None


def _swap(model: nn.Module, plans: deque[_Plan], config: MoEConfig) -> None:
    """Replace layer by layer, so that only one is held twice; when that fails (no memory), put the others back.

    Where experts share neurons and lose others, the dense layers are held until all is done.
    """
    done: list[_Swapped] = []
    try:
        while plans:
            done.append(_swap_one(plans.popleft(), config))
    except BaseException:
        for swapped in done:
            _put_back(model, swapped)
        raise


@torch.no_grad()
def _swap_one(plan: _Plan, config: MoEConfig) -> _Swapped:
    mlp = plan.mlp
    module, tail = mlp.site.get(), None if mlp.tail is None else mlp.tail.get()
    layer = _layer(plan, config)
    layer.train(module.training).requires_grad_(DenseFFN.of(mlp).down.requires_grad)
    mlp.replace(layer)
    lost = len(plan.parts.missing(mlp.hidden)) > 0
    return _Swapped(block=plan.block, site=mlp.site, tail=mlp.tail, dense=(module, tail) if lost else None)


def _put_back(model: nn.Module, swapped: _Swapped) -> None:
    if swapped.dense is None:
        restore(model, swapped.block)
        return
    module, tail = swapped.dense
    swapped.site.replace(module)
    if swapped.tail is not None and tail is not None:
        swapped.tail.replace(tail)


def _without_memory(site: Site) -> nn.Module:
    """A copy of a module whose parameters and buffers lie on the meta device."""
    module = site.get()
    memo: dict[int, Tensor] = {
        id(p): nn.Parameter(p.to("meta"), requires_grad=p.requires_grad) for p in module.parameters()
    }
    memo |= {id(b): b.to("meta") for b in module.buffers()}
    return copy.deepcopy(module, memo)  # type: ignore[arg-type]
