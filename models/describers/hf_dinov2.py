"""transformers: DINOv2, with registers or without."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Block, branch_sites, head_of, see_through
from ..attention.prefixed_attention import through_interface
from .hf_vit import attention_of, grid_of, mlp_of

SERVES = (
    "transformers.models.dinov2.modeling_dinov2.Dinov2ForImageClassification",
    "transformers.models.dinov2.modeling_dinov2.Dinov2Model",
    "transformers.models.dinov2_with_registers.modeling_dinov2_with_registers.Dinov2WithRegistersForImageClassification",
    "transformers.models.dinov2_with_registers.modeling_dinov2_with_registers.Dinov2WithRegistersModel",
)
_BRANCHES = (("norm1", "attention", "layer_scale1", "drop_path"), ("norm2", "mlp", "layer_scale2", "drop_path"))


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of a classifier, whose head reads the class token and the mean of the patches."""
    body = model.base_model
    config = body.config
    layers = body.encoder.layer
    return Anatomy(
        model=model,
        blocks=tuple(_block(layers, index) for index in range(len(layers))),
        width=config.hidden_size,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "layernorm"),
        head=head_of(model, body),
        prefix_tokens=1 + getattr(config, "num_register_tokens", 0),
        grid=grid_of(see_through(body, "embeddings").get().patch_embeddings),
    )


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention = attention_of(layer, through_interface)
    mlp = _mlp(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "norm1"), see_through(layer, "norm2")),
        linears=attention.linears + mlp.linears,
        branches=branch_sites(layer, _BRANCHES),
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if not hasattr(module, "gate_proj"):
        return mlp_of(layer)
    up = see_through(module, "up_proj")
    return MLP(
        site=site,
        output=site,
        kind="gated",
        gate=see_through(module, "gate_proj"),
        up=up,
        down=see_through(module, "down_proj"),
        activation=module.act_fn,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
