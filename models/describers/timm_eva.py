"""timm: EVA, EVA-02 and what else is built from that class (DINOv3): rotary positions, gated FFNs."""

from typing import Any

from torch import nn

from ..anatomy import Anatomy, Attention, Block, DescribesAttention, Site, head_at, see_through
from ..anatomy.building import block_at, blocks_of
from .timm_vit import gate_of, mlp_of

SERVES = ("timm.models.eva.Eva",)
_TOKENS = ("cls_token", "reg_token", "pos_embed")
_BRANCHES = (("norm1", "attn", "drop_path1"), ("norm2", "mlp", "drop_path2"))


def describe(model: Any) -> Anatomy:
    """The anatomy of a classifier, or of a feature extractor without head."""
    tokens = [name for name in _TOKENS if getattr(model, name) is not None]
    blocks = blocks_of(model.blocks, _block)
    norm = "fc_norm" if isinstance(model.norm, nn.Identity) else "norm"
    return Anatomy(
        model=model,
        blocks=blocks,
        width=model.embed_dim,
        embeddings=(see_through(model, "patch_embed"), *(Site(model, name) for name in tokens)),
        final_norm=see_through(model, norm),
        head=head_at(model, "head"),
        prefix_tokens=model.num_prefix_tokens,
        grid=model.patch_embed.grid_size,
        further_tokens=model.rope is None,
        uncalled=_uncalled(blocks),
    )


def _uncalled(blocks: tuple[Block, ...]) -> tuple[Site, ...]:
    """Matrices of queries, keys and values to which EVA's attention adds biases of its own, reading the matrix."""
    found: list[Site] = []
    for block in blocks:
        assert block.attention is not None
        module = block.attention.site.get()
        reads = getattr(module, "q_bias", None) is not None and not module.qkv_bias_separate
        if reads and block.attention.qkv is not None:
            found.append(block.attention.qkv)
    return tuple(found)


def _block(site: Site, index: int) -> Block:
    block = site.get()
    attention = _attention(block)
    branches = _BRANCHES if _is_sum(block) else ()
    return block_at(
        site, index, attention, mlp_of(block), ("norm1", "norm2"), gates=gate_of(attention), branches=branches
    )


def _is_sum(block: Any) -> bool:
    """Whether a block adds its two branches as they are: before the norms, without a scale of each channel."""
    return type(block).__name__ == "EvaBlock" and block.gamma_1 is None and block.gamma_2 is None


def _attention(block: Any) -> Attention:
    site = see_through(block, "attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    return Attention(
        site=site,
        q=_present(module, "q_proj"),
        k=_present(module, "k_proj"),
        v=_present(module, "v_proj"),
        qkv=_present(module, "qkv"),
        o=see_through(module, "proj"),
        num_heads=module.num_heads,
        num_kv_heads=getattr(module, "num_kv_heads", module.num_heads),
        head_dim=module.head_dim,
        returns_tuple=False,
    )


def _present(module: nn.Module, name: str) -> Site | None:
    """EVA has one matrix for queries, keys and values, or three."""
    if getattr(module, name) is None:
        return None
    return see_through(module, name)
