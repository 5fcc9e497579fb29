"""A block without a part for a while: as after the removal, and then as before to the bit."""

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import Wrapper, describe
from sparsebench.models.compression.trimming.absent import without
from sparsebench.models.errors import ModelError

from ...zoo.text_families import MIXTURES, build, outputs

FAMILIES = {name: MIXTURES[name].names()[1] for name in ("Mixtral", "DeepseekV3", "GptOss", "GraniteMoeShared")}
FAMILIES |= {"Gemma2": "Gemma2ForCausalLM", "OPT": "OPTForCausalLM", "XLMRoberta": "XLMRobertaForMaskedLM"}
FAMILIES |= {"StableLm": "StableLmForCausalLM"}
PARTS = ({"mlp": True}, {"attention": True}, {"mlp": True, "attention": True})


def modules(model: nn.Module) -> list[tuple[str, int]]:
    return [(name, id(module)) for name, module in model.named_modules()]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("parts", PARTS, ids=str)
def test_a_block_is_as_if_cut_and_then_as_before(family: str, parts: dict[str, bool]) -> None:
    model, cut = build(family, FAMILIES[family]), build(family, FAMILIES[family])
    before, there = outputs(model), modules(model)
    for part in parts:
        getattr(describe(cut).blocks[1], f"remove_{part}")()
    block = describe(model).blocks[1]
    with without(block, **parts):
        assert torch.equal(outputs(model), outputs(cut))
    assert not torch.equal(before, outputs(cut))
    assert torch.equal(outputs(model), before) and modules(model) == there
    assert block.mlp is not None and block.attention is not None
    # A norm that both parts read goes with the second of them.
    shared = len(block.shared_norms) if len(parts) == 1 else 0
    assert len(describe(cut).blocks[1].norms) < len(block.norms) + shared


def test_all_comes_back_after_an_error() -> None:
    model = build("GptOss", "GptOssForCausalLM")
    there = modules(model)
    with pytest.raises(RuntimeError, match="stop"), without(describe(model).blocks[0], mlp=True, attention=True):
        assert modules(model) != there
        raise RuntimeError("stop")
    assert modules(model) == there


def test_what_cannot_be_taken_out_is_refused_and_nothing_changes() -> None:
    model = build("Mixtral", "MixtralForCausalLM")
    layer = model.model.layers[0]
    layer.self_attn = Wrapper(layer.self_attn)
    there = modules(model)
    refused = without(describe(model).blocks[0], mlp=True, attention=True)
    with pytest.raises(ModelError, match="take the adapters off first"):
        refused.__enter__()
    assert modules(model) == there
