"""timm: VisionTransformer (ViT, DeiT, AugReg and everything else built from that class)."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..anatomy import (
    MLP,
    Anatomy,
    Attention,
    Block,
    DescribesAttention,
    DescribesMLP,
    Site,
    has_parameters,
    see_through,
)
from ..attention.prefixed_attention import extended_mask, joined, unwrapped

SERVES = ("timm.models.vision_transformer.VisionTransformer",)
_TOKENS = ("cls_token", "dist_token", "reg_token", "pos_embed")
_BRANCHES = (("norm1", "attn", "ls1", "drop_path1"), ("norm2", "mlp", "ls2", "drop_path2"))


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head; a distilled DeiT has two heads."""
    tokens = [name for name in _TOKENS if getattr(model, name, None) is not None]
    heads: list[Site] = []
    for name in ("head", "head_dist"):
        if hasattr(model, name) and has_parameters(getattr(model, name)):
            heads.append(see_through(model, name))
    norm = "fc_norm" if isinstance(model.norm, nn.Identity) else "norm"
    return Anatomy(
        model=model,
        blocks=tuple(_block(model.blocks, index) for index in range(len(model.blocks))),
        width=model.embed_dim,
        embeddings=(see_through(model, "patch_embed"), *(Site(model, name) for name in tokens)),
        final_norm=see_through(model, norm),
        head=heads[0] if heads else None,
        further_heads=tuple(heads[1:]),
        prefix_tokens=model.num_prefix_tokens,
        grid=model.patch_embed.grid_size,
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
        branches=tuple(tuple(Site(block, name) for name in names) for names in _BRANCHES) if _is_sum(block) else (),
    )


def _is_sum(block: nn.Module) -> bool:
    return (type(block).__module__, type(block).__name__) == ("timm.models.vision_transformer", "Block")


def _attention(block: Any) -> Attention:
    site = see_through(block, "attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    return Attention(
        site=site,
        qkv=see_through(module, "qkv"),
        o=see_through(module, "proj"),
        num_heads=module.num_heads,
        num_kv_heads=module.num_heads,
        head_dim=module.head_dim,
        prefixed=_prefixed if type(module).__name__ == "Attention" else None,
        returns_tuple=False,
    )


def _prefixed(
    module: nn.Module,
    keys: Tensor,
    values: Tensor,
    x: Tensor,
    attn_mask: Tensor | None = None,
    is_causal: bool = False,
) -> Tensor:
    vit = unwrapped(module)
    q, k, v = vit.qkv(x).unflatten(-1, (3, vit.num_heads, vit.head_dim)).permute(2, 0, 3, 1, 4).unbind()
    out = F.scaled_dot_product_attention(
        vit.q_norm(q),
        joined(keys, vit.k_norm(k)),
        joined(values, v),
        attn_mask=extended_mask(attn_mask, x, keys.shape[1], causal=is_causal),
        dropout_p=vit.attn_drop.p if vit.training else 0.0,
        scale=vit.scale,
    )
    out = vit.norm(out.transpose(1, 2).flatten(2))
    gate = getattr(vit, "gate", None)
    return vit.proj_drop(vit.proj(out if gate is None else out * gate(x).sigmoid()))


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
