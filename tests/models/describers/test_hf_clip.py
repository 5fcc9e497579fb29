import pytest
import transformers
from torch import nn

from sparsebench.models.anatomy import UnknownAnatomy, describe

VISION = {
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "patch_size": 8,
    "image_size": 16,
}
TEXT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "vocab_size": 32}


def both(library: str) -> nn.Module:
    config = getattr(transformers, f"{library}Config")(text_config=TEXT, vision_config=VISION)
    return getattr(transformers, f"{library}Model")(config)


@pytest.mark.parametrize(("library", "prefix"), [("CLIP", 1), ("Siglip", 0)])
def test_the_vision_tower_alone_and_in_the_whole_model(library: str, prefix: int) -> None:
    config = getattr(transformers, f"{library}VisionConfig")(**VISION)
    alone = describe(getattr(transformers, f"{library}VisionModel")(config))
    whole = describe(both(library))
    for anatomy in (alone, whole):
        assert (len(anatomy.blocks), anatomy.width, anatomy.prefix_tokens, anatomy.grid) == (2, 16, prefix, (2, 2))
        assert anatomy.head is None
    assert [site.path.removeprefix("vision_model.") for site in whole.sites() if "text" not in site.path] == [
        site.path for site in alone.sites()
    ]
    assert alone.outside == () and "text_model" in [site.path for site in whole.outside]


def test_the_pooling_attention_of_siglip_never_calls_its_output_matrix() -> None:
    assert [site.path for site in describe(both("Siglip")).uncalled] == ["vision_model.head.attention.out_proj"]
    assert describe(both("CLIP")).uncalled == ()


@pytest.mark.parametrize("library", ["CLIP", "Siglip"])
def test_a_text_tower_is_not_known(library: str) -> None:
    with pytest.raises(UnknownAnatomy, match=f"{library}TextModel has no vision tower"):
        describe(both(library).text_model)
