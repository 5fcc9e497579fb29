"""Attention Drop: exact, really smaller, decoding with a cache, saved and loaded."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.attention_drop import drop_attentions, droppable_attentions
from sparsebench.models.compression.trimming.choice import choose
from sparsebench.models.compression.trimming.similarity import attention_similarity
from sparsebench.models.errors import ModelError

from ...zoo.text_families import FAMILIES, MIXTURES, build, outputs, padded_inputs
from .decoding import WAYS, decodes_and_comes_back

DECODERS = {name: MIXTURES[name] for name in ("Mixtral", "DeepseekV3", "GptOss")}
DECODERS |= {name: FAMILIES[name] for name in ("Gemma2", "StableLm")}


def decoder(family: str) -> Any:
    return build(family, DECODERS[family].names()[1])


@torch.no_grad()
def silence(attention: Any) -> None:
    """Let an attention give 0 by its last layer."""
    for parameter in attention.o.get().parameters():
        parameter.zero_()


@pytest.mark.parametrize("family", ["Mixtral", "DeepseekV3", "GptOss"])
def test_a_dropped_attention_is_one_that_gives_zero_and_goes_first(family: str) -> None:
    model = decoder(family)
    silence(describe(model).blocks[1].attention)
    before = outputs(model)
    candidates = droppable_attentions(model)
    similarity = attention_similarity(model, [padded_inputs(model)], candidates, dtype=torch.float64)
    assert similarity[1] == pytest.approx(1.0, abs=1e-12) and similarity[0] < 0.9999
    assert drop_attentions(model, choose(candidates, 1, similarity=similarity)).blocks == (1,)
    torch.testing.assert_close(outputs(model), before, atol=1e-12, rtol=1e-12)
    assert droppable_attentions(model) == [0]


@pytest.mark.parametrize("family", DECODERS)
@pytest.mark.parametrize("blocks", [[0], [0, 1]], ids=str)
def test_it_decodes_with_a_smaller_cache_and_loads_as_it_was_saved(
    family: str, blocks: list[int], tmp_path: Path
) -> None:
    model = decoder(family)
    before = outputs(model)
    drop_attentions(model, blocks)
    assert (outputs(model) - before).abs().max() > 1e-6
    cache = DynamicCache(config=model.config)
    model.generate(padded_inputs(model)["input_ids"], cache=cache, **WAYS)
    assert all(cache.layers[index].keys.shape[-1] == 1 for index in blocks)
    decodes_and_comes_back(model, tmp_path)


def test_attentions_that_others_need_are_no_candidates() -> None:
    model: Any = build("T5", "T5EncoderModel")
    before = outputs(model)
    with pytest.raises(ModelError, match="T5EncoderModel has no attention that could be dropped"):
        droppable_attentions(model)
    with pytest.raises(ModelError, match="gives other blocks something that they need"):
        drop_attentions(model, [1])
    assert torch.equal(outputs(model), before)


def test_images_and_models_without_attention(build: Callable[[str], nn.Module], example: Callable[..., Tensor]) -> None:
    vit: Any = build("timm_vit")
    before = vit(example(vit))
    drop_attentions(vit, [1])
    assert vit(example(vit)).isfinite().all() and not torch.equal(vit(example(vit)), before)
    with pytest.raises(ModelError, match="EfficientNet has no attention that could be dropped"):
        droppable_attentions(build("efficientnet"))
