"""transformers: DINOv2, with registers or without."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, Site, head_of, see_through
from ..attention.prefixed_attention import through_interface

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
        grid=_grid(see_through(body, "embeddings").get().patch_embeddings),
    )


def _grid(patches: Any) -> tuple[int, int]:
    height, width = patches.image_size
    patch_height, patch_width = patches.patch_size
    return height // patch_height, width // patch_width


def _block(layers: nn.ModuleList, index: int) -> Block:
    site = see_through(layers, str(index))
    layer = site.get()
    attention = _attention(layer)
    mlp = _mlp(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "norm1"), see_through(layer, "norm2")),
        linears=attention.linears + mlp.linears,
        branches=tuple(tuple(Site(layer, name) for name in names) for names in _BRANCHES),
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "attention")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    heads = module.config.num_attention_heads
    return Attention(
        site=site,
        q=see_through(module, "q_proj"),
        k=see_through(module, "k_proj"),
        v=see_through(module, "v_proj"),
        o=see_through(module, "o_proj"),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=module.head_dim,
        prefixed=through_interface,
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    if hasattr(module, "gate_proj"):
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
    up = see_through(module, "fc1")
    return MLP(
        site=site,
        output=site,
        kind="plain",
        up=up,
        down=see_through(module, "fc2"),
        activation=module.activation_fn,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
