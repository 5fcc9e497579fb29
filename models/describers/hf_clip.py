"""transformers: the vision towers of CLIP and SigLIP, alone or in the model of images and texts."""

from typing import Any

from ..anatomy import Anatomy, Block, Site, UnknownAnatomy, head_of, see_through
from ..anatomy.building import SEPARATE, attention_at, block_at, blocks_of
from ..attention.prefixed_attention import through_interface
from .hf_vit import mlp_of

SERVES = (
    "transformers.models.clip.modeling_clip.CLIPPreTrainedModel",
    "transformers.models.siglip.modeling_siglip.SiglipPreTrainedModel",
)
_TOWERS = ("CLIPVisionModel", "SiglipVisionModel")
_OF_TEXT = ("text_model", "text_projection")
_PROJECTION = "visual_projection"
_BRANCHES = (("layer_norm1", "self_attn"), ("layer_norm2", "mlp"))


def describe(model: Any) -> Anatomy:
    """The anatomy of the vision tower; what a model has for texts is not in it.

    A model of both has no head, and neither has a tower with its projection, which was trained with the tower: nobody
    means to train it afresh. A classifier is a head.

    Raises `UnknownAnatomy` for a text tower.
    """
    tower = _tower(model)
    of_text = tuple(see_through(model, name) for name in _OF_TEXT if hasattr(model, name))
    embeddings = see_through(tower, "embeddings")
    head = head_of(model, tower)
    if of_text or (head is not None and head.path == _PROJECTION):
        head = None
    return Anatomy(
        model=model,
        blocks=blocks_of(tower.encoder.layers, _block),
        width=tower.config.hidden_size,
        embeddings=(embeddings,),
        final_norm=see_through(tower, "post_layernorm"),
        head=head,
        outside=of_text,
        prefix_tokens=int(hasattr(embeddings.get(), "class_embedding")),
        grid=_grid(tower.config),
        uncalled=_pooled(tower),
    )


def _tower(model: Any) -> Any:
    if any(cls.__name__ in _TOWERS for cls in type(model).__mro__):
        return model
    tower = getattr(model, "vision_model", None)
    if tower is None:
        name = type(model).__name__
        raise UnknownAnatomy(f"{name} has no vision tower: of CLIP and SigLIP only the part that sees images is known")
    return tower


def _grid(config: Any) -> tuple[int, int]:
    side = config.image_size // config.patch_size
    return side, side


def _pooled(tower: Any) -> tuple[Site, ...]:
    """The linear layer in torch's attention that pools SigLIP's patches, whose weight that attention reads."""
    head = getattr(tower, "head", None)
    if head is None:
        return ()
    return (see_through(head.attention, "out_proj"),)


def _block(site: Site, index: int) -> Block:
    layer = site.get()
    attention = attention_at(layer, "self_attn", {**SEPARATE, "o": "out_proj"}, prefixed=through_interface)
    return block_at(site, index, attention, mlp_of(layer), ("layer_norm1", "layer_norm2"), branches=_BRANCHES)
