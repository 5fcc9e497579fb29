"""transformers: Swin. Its attention sees windows of patches, its stages have different widths."""

from typing import Any

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesAttention, DescribesMLP, Site, head_of, see_through

SERVES = (
    "transformers.models.swin.modeling_swin.SwinForImageClassification",
    "transformers.models.swin.modeling_swin.SwinForMaskedImageModeling",
    "transformers.models.swin.modeling_swin.SwinModel",
)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare model or of one with a head. `width` is that of the last stage."""
    body = model.base_model
    blocks: list[Block] = []
    for stage in body.encoder.layers:
        for name, _ in stage.blocks.named_children():
            blocks.append(_block(see_through(stage.blocks, name), len(blocks)))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=body.num_features,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "layernorm"),
        head=head_of(model, body),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    attention = _attention(layer)
    mlp = _mlp(layer)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(layer, "layernorm_before"), see_through(layer, "layernorm_after")),
        linears=attention.linears + mlp.linears,
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "attention")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    heads = module.num_attention_heads
    return Attention(
        site=site,
        q=see_through(module, "q_proj"),
        k=see_through(module, "k_proj"),
        v=see_through(module, "v_proj"),
        o=see_through(module, "o_proj"),
        num_heads=heads,
        num_kv_heads=heads,
        head_dim=module.head_dim,
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
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
