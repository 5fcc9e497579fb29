"""Convpass, FacT-TT and the adapters of iDAT on a small ViT against what their official code computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import timm.models.vision_transformer
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, attach, preset
from sparsebench.models.adapters.kinds.fact import FacTLayer

from ..agreement import agree
from .oracle import Oracle, difference, rounding

ORACLE = Oracle("petl_vit.safetensors")
SETTINGS = ORACLE.about["methods"]
TERMS = 192
"""Numbers of a patch, the longest sum of the model."""
FORWARD = rounding(products=16, terms=TERMS)
"""Patches, two blocks of seven products (three of them the adapter's), and the head."""
BACKWARD = rounding(products=32, terms=TERMS)
NAMES = {
    "adapter_down": "project_in",
    "adapter_conv": "conv",
    "adapter_up": "project_out",
    "linear1": "down",
    "linear2": "up",
}
"""Official and our names of the layers of an adapter."""

Parameters = dict[str, Tensor]
"""Parameters, or their gradients, under official names."""


def convpass(model: nn.Module, parts: tuple[str, ...] = ("attention", "mlp")) -> AdapterSet:
    given = SETTINGS["convpass"]
    return attach(model, preset("convpass", faithful=True, r=given["dim"], scale=given["s"], parts=parts))


def fact(model: nn.Module) -> AdapterSet:
    given = SETTINGS["fact_tt"]
    return attach(model, preset("fact", faithful=True, r=given["dim"], scale=given["s"]))


def idat(name: str) -> Callable[[nn.Module], AdapterSet]:
    """The scale is that of the preset: 0.1 beside, 1 after the block."""
    return lambda model: attach(model, preset(name, faithful=True, r=SETTINGS["idat"]["hidden_dim"]))


METHODS: dict[str, Callable[[nn.Module], AdapterSet]] = {
    "convpass": convpass,
    "convpass_attn": lambda model: convpass(model, ("attention",)),
    "fact_tt": fact,
    "idat_gist_seq_adapter": idat("idat_sequential"),
    "idat_gist_shared_par_adapter": idat("idat_shared_parallel"),
    "idat_adaptformer": idat("idat_adaptformer"),
}


def base() -> Any:
    """The frozen ViT."""
    given = ORACLE.about["vit"] | {"norm_layer": nn.LayerNorm}
    eps = given.pop("layer_norm_eps")
    model = timm.models.vision_transformer.VisionTransformer(**given)
    for module in model.modules():
        if isinstance(module, nn.LayerNorm):
            module.eps = eps
    model.load_state_dict(ORACLE.below("base."))
    return model.eval()


def adapted(method: str) -> tuple[Any, AdapterSet]:
    """The model with adapters that have the recorded weights."""
    model = base()
    adapters = METHODS[method](model)
    with torch.no_grad():
        put(adapters, ORACLE.below(f"{method}.weights."))
    model.eval()
    return model, adapters


def put(adapters: AdapterSet, weights: Parameters) -> None:
    """Copy weights with official names into the set, and see that all of both are met."""
    own = parameters(adapters)
    assert own.keys() == weights.keys()
    for name, parameter in own.items():
        parameter.copy_(weights[name])


def parameters(adapters: AdapterSet, of: Callable[[nn.Parameter], Tensor | None] = lambda p: p) -> Parameters:
    """Of a set under their official names; `of` may give their gradients instead."""
    found: dict[str, Tensor | None] = {}
    for place, layer in adapters.layers():
        if isinstance(layer, FacTLayer):
            found |= fact_parameters(place, layer, of)
            continue
        block, _, site = place.rpartition(".")
        stem = f"{place}.gist_adapter" if site.isdigit() else f"{block}.adapter_{site}"
        for official, own in NAMES.items():
            module = getattr(layer.adapter, own, None)
            if module is not None:
                found[f"{stem}.{official}.weight"] = of(module.weight)
                found[f"{stem}.{official}.bias"] = of(module.bias)
    return {name: tensor for name, tensor in found.items() if tensor is not None}


def fact_parameters(place: str, layer: FacTLayer, of: Callable[[nn.Parameter], Tensor | None]) -> Parameters:
    """One core of ours for q, k and v is three of theirs."""
    assert layer.u.weight is not None and layer.v.weight is not None and layer.core.weight is not None
    core = of(layer.core.weight)
    assert core is not None
    module, _, linear = place.rpartition(".")
    parts = ("q", "k", "v") if linear == "qkv" else (linear,)
    found = {f"{module}.{part}_FacTs.weight": piece for part, piece in zip(parts, core.chunk(len(parts)), strict=True)}
    shared = {"FacTu.weight": of(layer.u.weight), "FacTv.weight": of(layer.v.weight)}
    return found | {name: tensor for name, tensor in shared.items() if tensor is not None}


@pytest.mark.parametrize("method", METHODS)
def test_adapters(method: str) -> None:
    """Tokens after each block, logits, and the gradients of all adapter parameters."""
    model, adapters = adapted(method)
    tokens: list[Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, args, out: tokens.append(out))
    logits = model(ORACLE["images"])
    for index, found in enumerate(tokens):
        agree(found, ORACLE[f"{method}.block{index}.tokens"], "states", within=FORWARD, where=f"block {index}")
    assert len(tokens) == 2
    agree(logits, ORACLE[f"{method}.logits"], "logits", within=FORWARD)
    (logits * ORACLE["cotangent"]).sum().backward()
    found, recorded = parameters(adapters, lambda p: p.grad), ORACLE.below(f"{method}.grad.")
    assert found.keys() == recorded.keys()
    for name, wanted in recorded.items():
        agree(found[name], wanted, "gradients", within=BACKWARD, where=name)


@torch.no_grad()
def test_the_base_model() -> None:
    agree(base()(ORACLE["images"]), ORACLE["base_logits"], "logits", within=FORWARD)


@pytest.mark.parametrize("method", METHODS)
@torch.no_grad()
def test_a_changed_weight_is_seen(method: str) -> None:
    """One per cent more of any one weight matrix of an adapter."""
    for name in ORACLE.below(f"{method}.weights."):
        if name.endswith("weight"):
            model, adapters = adapted(method)
            parameters(adapters)[name].mul_(1.01)
            assert difference(model(ORACLE["images"]), ORACLE[f"{method}.logits"]) > FORWARD, name


@pytest.mark.parametrize("method", ["convpass", "convpass_attn", "fact_tt"])
def test_start(method: str) -> None:
    """Zeros and the identity are where theirs are, and what is drawn is as large (draws themselves are not the same).

    The adapters of iDAT start anew in the release, with the whole model, so that what their constructor draws does not
    count.
    """
    model = base()
    found, recorded = parameters(METHODS[method](model)), ORACLE.below(f"{method}.initial.")
    assert found.keys() == recorded.keys()
    for name, wanted in recorded.items():
        drawn = name.endswith("weight") and wanted.any() and "adapter_conv" not in name
        if drawn:
            ratio = (found[name].abs().max() / wanted.abs().max()).item()
            assert 0.8 < ratio < 1.25, (name, ratio)
        else:
            assert torch.equal(found[name], wanted), name
