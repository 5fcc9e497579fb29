"""transformers: ModernBERT. Blocks normalise their inputs; qkv is one matrix, and so are gate and up."""

from typing import Any

from ..anatomy import Anatomy, Block, Site, head_of, see_through
from ..anatomy.building import attention_at, block_at, blocks_of, mlp_at

SERVES = ("transformers.models.modernbert.modeling_modernbert.ModernBertPreTrainedModel",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare encoder or of one with a head."""
    body = model.base_model
    return Anatomy(
        model=model,
        blocks=blocks_of(body.layers, _block),
        width=body.config.hidden_size,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "final_norm"),
        head=head_of(model, body),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    # It takes no cache, so that no prefix fits in.
    attention = attention_at(layer, "attn", {"qkv": "Wqkv", "o": "Wo"}, heads="config.num_attention_heads")
    mlp = mlp_at(layer, "mlp", {"gate_up": "Wi", "down": "Wo"}, "act")
    return block_at(site, index, attention, mlp, ("attn_norm", "mlp_norm"))
