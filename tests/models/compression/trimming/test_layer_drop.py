"""Layer Drop: exact, really smaller, decoding with a cache, saved and loaded; and what the released code got wrong."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.choice import choose
from sparsebench.models.compression.trimming.layer_drop import drop_layers, droppable_layers
from sparsebench.models.compression.trimming.similarity import layer_similarity
from sparsebench.models.counting import count_parameters, flops
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

from ...zoo.text_families import FAMILIES, MIXTURES, build, outputs, padded_inputs
from .decoding import decodes_and_comes_back, reopened


def mixture(family: str) -> Any:
    return build(family, MIXTURES[family].names()[1])


@torch.no_grad()
def silence(mlp: Any) -> None:
    """Let an FFN give 0 by its own weights and biases."""
    for parameter in mlp.site.get().parameters():
        parameter.zero_()
    if mlp.experts is not None and mlp.experts.shared is not None:
        for parameter in mlp.experts.shared.get().parameters():
            parameter.zero_()


@pytest.mark.parametrize("family", MIXTURES)
def test_a_dropped_layer_is_one_that_gives_zero(family: str) -> None:
    """Invariant B4, and defect 13: an emptied layer passes x, never x + Norm(x), and no shared expert is forgotten."""
    model, oracle = mixture(family), mixture(family)
    silence(describe(oracle).blocks[1].mlp)
    before = outputs(model)
    drop_layers(model, [1])
    torch.testing.assert_close(outputs(model), outputs(oracle), atol=1e-9, rtol=1e-9)
    assert (outputs(model) - before).abs().max() > 1e-6


@pytest.mark.parametrize("metric", ["norm_moe", "moe"])
def test_the_norm_goes_with_its_layer_whichever_similarity_decided(metric: Any) -> None:
    """Defect 14: a switch for the norm that changed the score and never the cut. Here it is named for what it does."""
    model = mixture("Qwen3Moe")
    similarity = layer_similarity(model, [padded_inputs(model)], [0, 1], metric=metric)
    dropped = drop_layers(model, choose([0, 1], 1, similarity=similarity))
    layer = model.model.layers[dropped.blocks[0]]
    assert isinstance(layer.post_attention_layernorm, nn.Identity)
    assert not list(layer.mlp.parameters()) and list(layer.input_layernorm.parameters())


def test_dense_layers_of_a_mixture_stay_unless_asked() -> None:
    model = mixture("DeepseekV3")
    assert describe(model).blocks[0].mlp.kind == "gated"  # type: ignore[union-attr]
    assert droppable_layers(model) == [1]
    assert droppable_layers(model, "all") == [0, 1]
    drop_layers(model, [1])
    with pytest.raises(ModelError, match="no mixture of experts to drop; layers='all'"):
        droppable_layers(model)
    assert droppable_layers(model, "all") == [0]


def test_a_layer_without_effect_goes_first_and_is_not_missed() -> None:
    """Invariant B3, of layers."""
    model = mixture("Olmoe")
    silence(describe(model).blocks[0].mlp)
    before = outputs(model)
    similarity = layer_similarity(model, [padded_inputs(model)], droppable_layers(model), dtype=torch.float64)
    assert similarity[0] == pytest.approx(1.0, abs=1e-12) and similarity[1] < 0.999
    assert drop_layers(model, choose([0, 1], 1, similarity=similarity)).blocks == (0,)
    torch.testing.assert_close(outputs(model), before, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("family", ["Mixtral", "DeepseekV3", "GptOss", "GraniteMoeShared"])
def test_it_decodes_with_a_cache_and_loads_as_it_was_saved(family: str, tmp_path: Path) -> None:
    model = mixture(family)
    smaller = count_parameters(model)
    drop_layers(model, [1])
    left = count_parameters(model)
    assert left.total < smaller.total and left.active < smaller.active
    assert count_parameters(decodes_and_comes_back(model, tmp_path)) == left


def test_a_converted_model_keeps_its_other_mixtures(tmp_path: Path) -> None:
    model: Any = build("Olmo2", "Olmo2ForCausalLM")
    convert(model, MoEConfig(num_experts=4, top_k=2))
    oracle: Any = build("Olmo2", "Olmo2ForCausalLM")
    convert(oracle, MoEConfig(num_experts=4, top_k=2))
    drop_layers(model, [0])
    describe(oracle).blocks[0].remove_mlp()
    assert torch.equal(outputs(model), outputs(oracle))
    again = reopened(model, tmp_path)
    torch.testing.assert_close(outputs(again), outputs(model))
    assert [block.mlp is None for block in describe(again).blocks] == [True, False]


def test_operations_fall_by_those_of_the_layer() -> None:
    """Invariant B15, of layers: two of six experts, three matrices each, and the router."""
    model = mixture("Mixtral").float()
    ids = padded_inputs(model)["input_ids"]
    before = flops(model, ids)
    drop_layers(model, [1])
    width, hidden, tokens = 16, 10, ids.numel()
    assert before - flops(model, ids) == 2 * tokens * (2 * 3 * width * hidden + 6 * width)


def test_a_vision_mixture_and_the_dense_twin(build: Callable[[str], nn.Module], example: Callable[..., Tensor]) -> None:
    vit: Any = build("timm_vit")
    with pytest.raises(ModelError, match="layers='all' drops dense FFNs"):
        droppable_layers(vit)
    convert(vit, MoEConfig(num_experts=4, top_k=2))
    similarity = layer_similarity(vit, [example(vit)], droppable_layers(vit))
    drop_layers(vit, choose([0, 1], 1, similarity=similarity))
    assert vit(example(vit)).isfinite().all() and len(droppable_layers(vit)) == 1
    twin: Any = build("llama")
    assert drop_layers(twin, choose(droppable_layers(twin, "all"), 1, choice="last")).paths == ("model.layers.1.mlp",)
    with pytest.raises(ModelError, match="EfficientNet has no FFN to drop"):
        droppable_layers(build("efficientnet"), "all")
    with pytest.raises(ModelError, match="layers='experts' is not one of mixtures, all"):
        droppable_layers(twin, "experts")  # type: ignore[arg-type]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_dense_family_drops_a_layer(family: str) -> None:
    model: Any = build(family, FAMILIES[family].names()[0])
    before = outputs(model)
    blocks = droppable_layers(model, "all")
    drop_layers(model, blocks[-1:])
    assert outputs(model).isfinite().all() and not torch.equal(outputs(model), before)
