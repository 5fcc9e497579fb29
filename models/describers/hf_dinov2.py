"""transformers: DINOv2, with registers or without."""

from typing import Any

from ..anatomy import MLP, Anatomy, Block, Site, head_of, see_through
from ..anatomy.building import block_at, blocks_of, mlp_at
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
    return Anatomy(
        model=model,
        blocks=blocks_of(body.encoder.layer, _block),
        width=config.hidden_size,
        embeddings=(see_through(body, "embeddings"),),
        final_norm=see_through(body, "layernorm"),
        head=head_of(model, body),
        prefix_tokens=1 + getattr(config, "num_register_tokens", 0),
        grid=grid_of(see_through(body, "embeddings").get().patch_embeddings),
    )


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    attention = attention_of(layer, through_interface)
    return block_at(site, index, attention, _mlp(layer), ("norm1", "norm2"), branches=_BRANCHES)


def _mlp(layer: Any) -> MLP:
    if not hasattr(see_through(layer, "mlp").get(), "gate_proj"):
        return mlp_of(layer)
    return mlp_at(layer, "mlp", {"gate": "gate_proj", "up": "up_proj", "down": "down_proj"}, "act_fn")
