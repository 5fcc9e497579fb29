"""The shape of a converted model without its weights: a recipe in JSON, and the modules built from it."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch
from torch import nn

from ...anatomy import MLP, describe, see_through
from ...errors import ModelError
from ...registry import Needed
from ..attention.config import AttnMoEConfig
from ..config import MoEConfig
from ..conversion.dense_ffn import DenseFFN
from ..further_splits import FURTHER as SPLITS
from ..layer import Alignment, MoEFFN
from ..routing.kinds import FURTHER as ROUTERS
from ..routing.kinds import router_class
from ..routing.padding import hand_over_masks
from ..routing.router import Router
from ..routing.start import RouterStart, drawn

Recipe = dict[str, Any]
_ROUTER_TENSORS = ("noise", "choice_bias")
"""What every router may hold in addition to its `rows` and `tensors`."""
RENAMED = {"strict_release": "faithful"}
"""Fields of configurations in older folders, and what they are called today."""
RENAMED_SPLITS = {"carved": "cmoe"}
"""Likewise values of `MoEConfig.split`."""


def layers_of(model: nn.Module) -> Recipe:
    """The converted layers by block, as JSON has them. Raises `ModelError` if there are none, and for a router that the
    recipe would replace by one of ours."""
    from ..attention.layer import AttentionMoE

    blocks: Recipe = {}
    attention: Recipe = {}
    for block in describe(model).blocks:
        ffn = None if block.mlp is None else block.mlp.site.get()
        if isinstance(ffn, MoEFFN):
            _check_router(ffn.router, ffn.config.router)
            blocks[str(block.index)] = _layer_recipe(ffn)
        heads = None if block.attention is None else block.attention.site.get()
        if isinstance(heads, AttentionMoE):
            _check_router(heads.router, "linear")
            attention[str(block.index)] = dataclasses.asdict(heads.config)
    if not blocks and not attention:
        raise ModelError("nothing in the model is made by sparsebench.models.moe.convert: it is dense")
    recipe = {"blocks": blocks, "attention": attention} | _packages(blocks)
    return json.loads(json.dumps(recipe))


@torch.no_grad()
def build_layers(model: nn.Module, recipe: Recipe) -> None:
    """Put converted layers of this shape in the places of the dense ones, made of their weights, in order."""
    from ..attention.convert_attention import mix_heads

    for needed in recipe.get("packages", ()):
        (ROUTERS if needed["kind"] == ROUTERS.kind else SPLITS).check_needed(needed)
    for index, fields in recipe["attention"].items():
        mix_heads(model, _attention_config(fields), layers=(int(index),))
    generator = torch.Generator().manual_seed(0)
    for block in describe(model).blocks:
        if str(block.index) in recipe["blocks"]:
            if block.mlp is None or block.mlp.experts is not None:
                raise ModelError(f"block {block.index} has no dense FFN, of which the description makes a mixture")
            block.mlp.replace(_layer(block.mlp, recipe["blocks"][str(block.index)], generator))
    hand_over_masks(model)


def own_router(router: nn.Module, kind: str) -> str | None:
    """What makes a router more than one of the kind that its configuration names, in words; None where nothing does."""
    cls = router_class(kind)
    if type(router) is not cls:
        return f"a router of a class of its own ({type(router).__name__}, not {cls.__name__})"
    names = {name.partition(".")[0] for name, _ in (*router.named_parameters(), *router.named_buffers())}
    further = sorted(names.difference(_ROUTER_TENSORS, cls.rows, cls.tensors))
    return f"a router with further tensors ({further[0]})" if further else None


def _check_router(router: nn.Module, kind: str) -> None:
    found = own_router(router, kind)
    if found is not None:
        raise ModelError(
            f"the model has {found}: what is written would open with a {router_class(kind).__name__}, and compute "
            "something else; give the class a name by register_router and all its tensors in `rows` and `tensors`, and "
            "convert with that name"
        )


def _layer_recipe(layer: MoEFFN) -> Recipe:
    dropout = {} if layer.dropout is None else {"dropout": layer.dropout.p}
    return dropout | {
        "config": dataclasses.asdict(layer.config),
        "experts": list(see_through(layer, "experts").get().sizes),
        "shared": None if layer.shared is None else list(layer.shared.sizes),
        "scale": layer.scale,
        "aligned": layer.alignment is not None,
    }


def _layer(mlp: MLP, recipe: Recipe, generator: torch.Generator) -> MoEFFN:
    dense = DenseFFN.of(mlp)
    config = _moe_config(recipe["config"])
    shared_sizes = recipe["shared"] or []
    sizes = [*shared_sizes, *recipe["experts"]]
    # In the order of the dense layer; experts that share neurons have more than that, and begin again.
    neurons = torch.arange(sum(sizes), device="cpu") % mlp.hidden
    groups = neurons.split(sizes)
    shared = None
    if shared_sizes:
        shared = dense.bank(groups[: len(shared_sizes)])
    layer = MoEFFN(
        config=config,
        router=_router(config, dense, generator),
        experts=dense.bank(groups[len(shared_sizes) :]),
        shared=shared,
        down_bias=None if dense.down_bias is None else dense.down_bias.clone(),
        neurons=neurons.to(dense.down.device),
        hidden=mlp.hidden,
        template=tuple(site.get() for site in mlp.parts),
        dropout=recipe.get("dropout", 0.0),
    )
    layer.scale = recipe["scale"]
    if recipe["aligned"]:
        layer.alignment = Alignment(dense.down.new_ones(mlp.width), dense.down.new_zeros(mlp.width))
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


def _router(config: MoEConfig, dense: DenseFFN, generator: torch.Generator) -> Router:
    """A router that holds anything, until weights are loaded."""
    routed = config.num_routed
    width = dense.up.shape[1]
    given = RouterStart(
        config=config,
        init=config.router_init,
        width=width,
        like=dense.up,
        generator=generator,
        make_rows=lambda: drawn(routed, width, generator),
        neurons=lambda: dense.neurons.at(torch.arange(routed) % len(dense.up)),
    )
    return router_class(config.router).start(given)


def _packages(blocks: Recipe) -> Recipe:
    """What other packages bring of these layers."""
    found: dict[tuple[str, str], Needed] = {}
    for block in blocks.values():
        for registry in (ROUTERS, SPLITS):
            needed = registry.needed(block["config"][registry.kind])
            if needed is not None:
                found[needed["kind"], needed["name"]] = needed
    return {"packages": list(found.values())} if found else {}
