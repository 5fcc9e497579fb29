"""The shape of a converted model without its weights: a recipe in JSON, and the modules built from it."""

from __future__ import annotations

import dataclasses
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import MLP, describe
from ...errors import ModelError
from ..attention.config import AttnMoEConfig
from ..config import MoEConfig
from ..dense_ffn import DenseFFN
from ..layer import Alignment, MoEFFN
from ..routing.router import GLURouter, LinearRouter, MLPRouter, Router
from .model_classes import base_model, base_recipe

Recipe = dict[str, Any]
RENAMED = {"strict_release": "faithful"}
"""Fields of configurations in older folders, and what they are called today."""
RENAMED_SPLITS = {"carved": "cmoe"}
"""Likewise values of `MoEConfig.split`."""


def recipe_of(model: nn.Module) -> Recipe:
    """All that `build` needs in addition to the configuration of the base model.

    Raises `ModelError` if nothing is converted or the class of the base model is not known by name.
    """
    from ..attention.convert_attention import AttentionMoE

    blocks: Recipe = {}
    attention: Recipe = {}
    for block in describe(model).blocks:
        ffn = None if block.mlp is None else block.mlp.site.get()
        if isinstance(ffn, MoEFFN):
            blocks[str(block.index)] = _layer_recipe(ffn)
        heads = None if block.attention is None else block.attention.site.get()
        if isinstance(heads, AttentionMoE):
            attention[str(block.index)] = dataclasses.asdict(heads.config)
    if not blocks and not attention:
        raise ModelError("nothing in the model is made by sparsebench.models.moe.convert: use its own save_pretrained")
    return {"model": base_recipe(model), "blocks": blocks, "attention": attention}


@torch.no_grad()
def build(recipe: Recipe, config: Any) -> Any:
    """The converted model on the meta device; `config` is its configuration, None for one of timm."""
    from ..attention.convert_attention import convert_attention

    with torch.device("meta"):
        model = base_model(recipe["model"], config)
    for index, fields in recipe["attention"].items():
        convert_attention(model, _attention_config(fields), layers=(int(index),))
    for block in describe(model).blocks:
        if str(block.index) in recipe["blocks"]:
            assert block.mlp is not None
            block.mlp.replace(_layer(block.mlp, recipe["blocks"][str(block.index)]))
    return model


def _layer_recipe(layer: MoEFFN) -> Recipe:
    return {
        "config": dataclasses.asdict(layer.config),
        "experts": list(layer.experts.sizes),
        "shared": None if layer.shared is None else list(layer.shared.sizes),
        "scale": layer.scale,
        "aligned": layer.alignment is not None,
    }


def _layer(mlp: MLP, recipe: Recipe) -> MoEFFN:
    dense = DenseFFN.of(mlp)
    config = _moe_config(recipe["config"])
    neurons = sum(recipe["experts"])
    shared = None
    if recipe["shared"] is not None:
        neurons += sum(recipe["shared"])
        shared = dense.bank(_groups(recipe["shared"]))
    layer = MoEFFN(
        config=config,
        router=_router(config, dense),
        experts=dense.bank(_groups(recipe["experts"])),
        shared=shared,
        down_bias=dense.down_bias,
        neurons=torch.empty(neurons, dtype=torch.long, device="meta"),
        hidden=mlp.hidden,
        template=tuple(site.get() for site in mlp.parts),
    )
    layer.scale = recipe["scale"]
    if recipe["aligned"]:
        layer.alignment = Alignment(dense.down.new_empty(mlp.width), dense.down.new_empty(mlp.width))
    return layer


def _moe_config(fields: dict[str, Any]) -> MoEConfig:
    fields = _renamed(fields)
    fields["split"] = RENAMED_SPLITS.get(fields["split"], fields["split"])
    if fields["attn"] is not None:
        fields["attn"] = _attention_config(fields["attn"])
    return MoEConfig(**fields)


def _attention_config(fields: dict[str, Any]) -> AttnMoEConfig:
    return AttnMoEConfig(**_renamed(fields))


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    """With today's names: folders that older versions wrote have others."""
    return {RENAMED.get(name, name): value for name, value in fields.items()}


def _groups(sizes: list[int]) -> list[Tensor]:
    """Groups of these sizes: which neurons they hold does not matter without weights."""
    return [torch.arange(size) for size in sizes]


def _router(config: MoEConfig, dense: DenseFFN) -> Router:
    routed = config.num_routed
    rows = dense.up.new_empty(routed, dense.up.shape[1])
    if config.router == "mlp":
        return MLPRouter(config, rows, dense.up.new_empty(routed, routed))
    if config.router == "linear":
        return LinearRouter(config, rows)
    return GLURouter(
        config,
        gate=None if dense.gate is None else torch.empty_like(rows),
        up=rows,
        gate_bias=None if dense.gate_bias is None else dense.gate_bias.new_empty(routed),
        up_bias=None if dense.up_bias is None else dense.up_bias.new_empty(routed),
        activation=dense.activation,
    )
