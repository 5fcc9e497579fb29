"""timm: VisionTransformer (ViT, DeiT, AugReg and everything else built from that class)."""

from typing import Any

from torch import nn

from ..anatomy import MLP, Anatomy, Attention, Block, DescribesMLP, Site, comes_from, see_through


def matches(model: nn.Module) -> bool:
    """Whether the model is a VisionTransformer of timm."""
    return comes_from(model, "timm.models.vision_transformer") and hasattr(model, "patch_embed")


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head."""
    tokens = [name for name in ("cls_token", "reg_token", "pos_embed") if getattr(model, name) is not None]
    norm = "fc_norm" if isinstance(model.norm, nn.Identity) else "norm"
    return Anatomy(
        model=model,
        blocks=tuple(_block(model.blocks, index) for index in range(len(model.blocks))),
        width=model.embed_dim,
        embeddings=(see_through(model, "patch_embed"), *(Site(model, name) for name in tokens)),
        final_norm=see_through(model, norm),
        head=None if isinstance(model.head, nn.Identity) else see_through(model, "head"),
    )


def _block(blocks: nn.Module, index: int) -> Block:
    site = see_through(blocks, str(index))
    block = site.get()
    attention, mlp = _attention(block), _mlp(block)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(block, "norm1"), see_through(block, "norm2")),
        linears=attention.linears + mlp.linears,
    )


def _attention(block: Any) -> Attention:
    site = see_through(block, "attn")
    module = site.get()
    return Attention(
        site=site,
        qkv=see_through(module, "qkv"),
        o=see_through(module, "proj"),
        num_heads=module.num_heads,
        num_kv_heads=module.num_heads,
        head_dim=module.head_dim,
    )


def _mlp(block: Any) -> MLP:
    site = see_through(block, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    gated = hasattr(module, "fc1_g")
    up = see_through(module, "fc1_x" if gated else "fc1")
    return MLP(
        site=site,
        output=site,
        kind="gated" if gated else "plain",
        gate=see_through(module, "fc1_g") if gated else None,
        up=up,
        down=see_through(module, "fc2"),
        activation=module.act,
        width=up.get().in_features,
        hidden=up.get().out_features,
    )
