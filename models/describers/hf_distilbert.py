"""transformers: DistilBERT. Blocks normalise the sums, as BERT's do, but the FFN is one module."""

from typing import Any

from ..anatomy import Anatomy, Block, Site, head_of, see_through
from ..anatomy.building import attention_at, block_at, blocks_of, mlp_at

SERVES = ("transformers.models.distilbert.modeling_distilbert.DistilBertPreTrainedModel",)


def describe(model: Any) -> Anatomy:
    """The anatomy of a bare encoder or of one with a head. Post-norm: the last block's norm is the final one."""
    body = model.base_model
    return Anatomy(
        model=model,
        blocks=blocks_of(body.transformer.layer, _block),
        width=body.config.dim,
        embeddings=(see_through(body, "embeddings"),),
        head=head_of(model, body),
        # New with each task, like the classifier that reads it.
        further_heads=tuple(see_through(model, name) for name in ("pre_classifier",) if hasattr(model, name)),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    projections = {"q": "q_lin", "k": "k_lin", "v": "v_lin", "o": "out_lin"}
    attention = attention_at(layer, "attention", projections, heads="n_heads", head_dim="attention_head_size")
    mlp = mlp_at(layer, "ffn", {"up": "lin1", "down": "lin2"}, "activation")
    return block_at(site, index, attention, mlp, ("sa_layer_norm", "output_layer_norm"), post_norm=True)
