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
    Prefixed,
    Site,
    UnknownAnatomy,
    has_parameters,
    head_at,
    see_through,
)
from ..anatomy.building import block_at, mlp_at
from ..attention.prefixed_attention import extended_mask, joined, unwrapped

SERVES = ("timm.models.vision_transformer.VisionTransformer",)
_TOKENS = ("cls_token", "dist_token", "reg_token", "pos_embed")
_BRANCHES = (("norm1", "attn", "ls1", "drop_path1"), ("norm2", "mlp", "ls2", "drop_path2"))


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head; a distilled DeiT has two heads.

    Where blocks hold several attentions and FFNs side by side, each pair of them is a block of the view, and these
    blocks have one site. Of blocks whose attention and FFN share their matrices, only the linear layers are known.
    """
    tokens = [name for name in _TOKENS if getattr(model, name, None) is not None]
    of_distillation = head_at(model, "head_dist")
    norm = "fc_norm" if isinstance(model.norm, nn.Identity) else "norm"
    return Anatomy(
        model=model,
        blocks=_blocks(model.blocks),
        width=model.embed_dim,
        embeddings=(see_through(model, "patch_embed"), *(Site(model, name) for name in tokens)),
        final_norm=see_through(model, norm),
        head=head_at(model, "head"),
        further_heads=() if of_distillation is None else (of_distillation,),
        prefix_tokens=model.num_prefix_tokens,
        grid=model.patch_embed.grid_size,
    )


def _blocks(blocks: nn.Module) -> tuple[Block, ...]:
    found: list[Block] = []
    for name, _ in blocks.named_children():
        site = see_through(blocks, name)
        block = site.get()
        if hasattr(block, "attns"):
            for attention, ffn in zip(block.attns, block.ffns, strict=True):
                found.append(_pair(len(found), site, attention, ffn))
        elif hasattr(block, "attn"):
            found.append(_block(len(found), site))
        else:
            found.append(_fused(len(found), site))
    return tuple(found)


def _block(index: int, site: Site) -> Block:
    block = site.get()
    attention = attention_of(block, _prefixed)
    branches = _BRANCHES if _is_sum(block) else ()
    return block_at(
        site, index, attention, mlp_of(block), ("norm1", "norm2"), gates=gate_of(attention), branches=branches
    )


def _pair(index: int, site: Site, attention_part: nn.Module, ffn_part: nn.Module) -> Block:
    """An attention and an FFN of a block that sums several of each; both are chains of a norm, themselves and more."""
    attention = attention_of(attention_part, _prefixed)
    mlp = mlp_of(ffn_part)
    return Block(
        index=index,
        site=site,
        attention=attention,
        mlp=mlp,
        norms=(see_through(attention_part, "norm"), see_through(ffn_part, "norm")),
        linears=attention.linears + gate_of(attention) + mlp.linears,
        removable=False,
    )


def _fused(index: int, site: Site) -> Block:
    """A block whose first matrix serves attention and FFN at once."""
    block = site.get()
    linears: list[Site] = []
    norms: list[Site] = []
    for name, child in block.named_children():
        inner = see_through(block, name)
        if isinstance(inner.get(), nn.Linear):
            linears.append(inner)
        elif "norm" in name and has_parameters(child):
            norms.append(inner)
    return Block(index=index, site=site, norms=tuple(norms), linears=tuple(linears))


def _is_sum(block: nn.Module) -> bool:
    return (type(block).__module__, type(block).__name__) == ("timm.models.vision_transformer", "Block")


def attention_of(block: Any, prefixed: Prefixed | None) -> Attention:
    """The view of `block.attn`, whose queries, keys and values are one matrix; `prefixed` serves the plain kinds."""
    site = see_through(block, "attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    qkv = see_through(module, "qkv")
    return Attention(
        site=site,
        qkv=qkv,
        o=see_through(module, "proj"),
        num_heads=module.num_heads,
        num_kv_heads=module.num_heads,
        # Not the attribute: differential attention counts half a head.
        head_dim=qkv.get().out_features // 3 // module.num_heads,
        prefixed=prefixed if type(module).__name__ in ("Attention", "ProductTimmAttention") else None,
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


def gate_of(attention: Attention) -> tuple[Site, ...]:
    """The linear layer that gates the output of a timm attention, if there is one."""
    module = attention.site.get()
    if getattr(module, "gate", None) is None:
        return ()
    return (see_through(module, "gate"),)


def mlp_of(block: Any) -> MLP:
    """The view of the FFN of a timm block, called `mlp`: plain, gated, or gated with one matrix for gate and up.

    Raises `UnknownAnatomy` for one of another kind.
    """
    module: Any = see_through(block, "mlp").get()
    known = isinstance(module, DescribesMLP)
    if not known and hasattr(module, "gate_last"):
        if module.gate_last:
            name = type(module).__name__
            raise UnknownAnatomy(f"a {name} of timm with gate_last=True is not known: its gate comes last")
        return mlp_at(block, "mlp", {"gate_up": "fc1", "down": "fc2"}, "act")
    if hasattr(module, "fc1_g"):
        return mlp_at(block, "mlp", {"gate": "fc1_g", "up": "fc1_x", "down": "fc2"}, "act")
    if not known and not hasattr(module, "fc1"):
        raise UnknownAnatomy(
            f"no describer knows the {type(module).__name__} of this model, an FFN without fc1 and fc2: "
            "register a describer of your own with sparsebench.models.anatomy.register_describer"
        )
    return mlp_at(block, "mlp", {"up": "fc1", "down": "fc2"}, "act")
