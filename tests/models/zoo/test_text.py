"""Text families, one row for each class: what a transform does is exact, or is refused with a reason.

What only dense ones have, and what mixtures have too; what only mixtures have is in `test_text_mixtures.py`.
"""

from pathlib import Path

import pytest
import torch
from torch import nn
from transformers.pytorch_utils import Conv1D

from sparsebench.models.adapters import (
    LoRAConfig,
    PrefixConfig,
    RepAdapterConfig,
    SSFConfig,
    attach,
    load_peft,
    save_peft,
)
from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import calibrate
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.attention.convert_attention import convert_attention
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.restoration import to_dense

from .text_families import (
    FAMILIES,
    MIXTURES,
    behind_a_cache,
    build,
    check_adapters,
    close,
    outputs,
    padded_inputs,
    state,
    stir,
)

FIRSTS = tuple((name, family.names()[1]) for name, family in FAMILIES.items())
"""The class with a language head of each family: what does not depend on the head is checked there."""
EVERY = FAMILIES | MIXTURES
EVERY_FIRST = tuple((name, family.names()[1]) for name, family in EVERY.items())


@pytest.mark.parametrize("family", FAMILIES)
def test_every_class_of_a_family(family: str, subtests: pytest.Subtests) -> None:
    for cls in FAMILIES[family].names():
        for check in (conversion_is_exact_and_goes_back, fewer_experts_change_outputs_and_count):
            with subtests.test(check.__name__, cls=cls):
                check(family, cls)


def conversion_is_exact_and_goes_back(family: str, cls: str) -> None:
    """With all experts on."""
    model = build(family, cls)
    before = outputs(model)
    convert(model, MoEConfig(num_experts=4, top_k=3, num_shared=1, score="none", scale="exact"))
    assert any(type(module).__name__ == "MoEFFN" for module in model.modules())
    close(outputs(model), before)
    counts = count_parameters(model)
    assert counts.total == sum(parameter.numel() for parameter in model.parameters())
    to_dense(model)
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in state(family, cls).items()
    }


def fewer_experts_change_outputs_and_count(family: str, cls: str) -> None:
    """Each converted layer lies on the way to the output: the check above cannot pass by converting nothing."""
    model = build(family, cls)
    before = outputs(model)
    dense = count_parameters(model)
    assert dense.active == dense.total == sum(parameter.numel() for parameter in model.parameters())
    convert(model, MoEConfig(num_experts=4, top_k=1, layers=(1,)))
    assert (outputs(model) - before).abs().max() > 1e-6
    assert count_parameters(model).active < count_parameters(model).total


@pytest.mark.parametrize("family", EVERY)
def test_adapters_are_exact_at_the_start_counted_and_mergeable(family: str, subtests: pytest.Subtests) -> None:
    for cls in EVERY[family].names():
        with subtests.test(cls=cls):
            check_adapters(build(family, cls))


@pytest.mark.parametrize("family", ["Llama", "Bert"])
def test_adapters_on_converted_models(family: str) -> None:
    check_adapters(convert(build(family, FAMILIES[family].names()[1]), MoEConfig(num_experts=4, num_shared=1)))


@pytest.mark.parametrize(("family", "cls"), EVERY_FIRST, ids=EVERY)
def test_every_linear_layer_of_a_block_is_in_its_view(family: str, cls: str) -> None:
    """But the gate of Qwen2's shared FFN, which chooses as a router does."""
    model = build(family, cls)
    for block in describe(model).blocks:
        there = set()
        for name, module in block.site.get().named_modules():
            if isinstance(module, nn.Linear | Conv1D) and "expert_gate" not in name:
                there.add(id(module))
        assert {id(site.get()) for site in block.linears} == there
        norms = [module for name, module in block.site.get().named_children() if "norm" in name.lower()]
        assert {id(norm) for norm in norms} <= {id(site.get()) for site in block.norms}


@pytest.mark.parametrize(("family", "cls"), EVERY_FIRST, ids=EVERY)
def test_a_prefix_is_seen_and_goes_again_or_is_refused(family: str, cls: str) -> None:
    """In a decoder it is what a cache holds."""
    model = build(family, cls)
    before = outputs(model)
    reason = EVERY[family].prefix
    if reason:
        with pytest.raises(ModelError, match=reason):
            attach(model, PrefixConfig(length=3))
        return
    adapters = attach(model, PrefixConfig(length=3, train_head=False))
    stir(adapters, 1.0)
    prefixes = [layer.prefix() for _, layer in adapters.layers()]
    prefixed = outputs(model)
    assert (prefixed - before).abs().max() > 1e-6
    adapters.remove()
    close(outputs(model), before)
    if "causal" in describe(model).traits:
        close(behind_a_cache(model, prefixes), prefixed)


@pytest.mark.parametrize(("family", "cls"), EVERY_FIRST, ids=EVERY)
def test_attention_experts_are_exact_or_refused(family: str, cls: str) -> None:
    model = build(family, cls)
    before = outputs(model)
    config = AttnMoEConfig(num_experts=2, top_k=2, router_init="zeros", scale=2.0)
    reason = EVERY[family].attention
    if reason:
        with pytest.raises(ModelError, match=reason):
            convert_attention(model, config)
        return
    convert_attention(model, config)
    close(outputs(model), before)


@pytest.mark.parametrize(("family", "cls"), EVERY_FIRST, ids=EVERY)
def test_a_block_without_its_two_parts_is_as_good_as_none(family: str, cls: str) -> None:
    """Or it is refused: T5's attentions hand on position biases."""
    model, without = build(family, cls), build(family, cls)
    describe(without).remove([1])
    block = describe(model).blocks[1]
    if "T5" in family:
        with pytest.raises(ModelError, match="gives other blocks something"):
            block.remove_attention()
        assert all(torch.equal(value, state(family, cls)[name]) for name, value in model.state_dict().items())
        return
    block.remove_attention()
    block.remove_mlp()
    close(outputs(model), outputs(without))
    assert not describe(model).blocks[1].linears and count_parameters(model).total == count_parameters(without).total


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=FAMILIES)
def test_a_converted_model_loads_as_it_was_saved(family: str, cls: str, tmp_path: Path) -> None:
    model = build(family, cls)
    convert(model, MoEConfig(num_experts=4, top_k=1))
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert sum(type(module).__name__ == "MoEFFN" for module in again.modules()) >= 2
    close(outputs(again), outputs(model))


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=FAMILIES)
def test_a_split_by_data_is_exact_or_refused(family: str, cls: str) -> None:
    """Padding is in the data; an encoder with a decoder is refused, the encoder alone is not."""
    model = build(family, cls)
    weights = {"score": "none", "scale": "exact", "router": "glu", "router_init": "analytic"}
    config = MoEConfig(num_experts=4, num_shared=1, top_k=3, split="cmoe", **weights)
    batch = padded_inputs(model)
    if "decoder_input_ids" in batch:
        with pytest.raises(ModelError, match="has an encoder and a decoder"):
            convert(model, config, [batch])
        model = build(family, FAMILIES[family].names()[2])
        batch = padded_inputs(model)
    before = outputs(model)
    calibration = calibrate(model, [batch])
    assert {len(sample.x) for sample in calibration.samples} == {12} and len(calibration.document) == 12
    convert(model, config, calibration)
    close(outputs(model), before)


def test_fused_heads_have_no_span_for_each_of_q_k_v() -> None:
    model = build("GPTNeoX", "GPTNeoXForCausalLM")
    with pytest.raises(ModelError, match=r"attention holds q, k and v head by head"):
        attach(model, LoRAConfig(r=2, targets=("q", "v")))


@pytest.mark.parametrize("family", ["Phi3", "Glm4", "GPT2", "OPT", "ModernBert"])
def test_other_adapters_on_fused_and_transposed_layers(family: str) -> None:
    """LoRA on parts of a fused matrix, SSF and re-parameterised adapters: exact, or refused with a cure."""
    cls = FAMILIES[family].names()[1]
    model = build(family, cls)
    before = outputs(model)
    named = LoRAConfig(r=2, targets=("q", "v", "gate", "up", "down"), train_head=False)
    for config in (named, SSFConfig(train_head=False), RepAdapterConfig(r=2, groups=1, train_head=False)):
        if family == "GPT2" and isinstance(config, RepAdapterConfig):
            with pytest.raises(ModelError, match="has no plain linear layers"):
                attach(model, config)
            continue
        adapters = attach(model, config)
        adapted_at = {name for name, _ in adapters.layers()}
        assert len(adapted_at) >= 2 * len(describe(model).blocks)
        stir(adapters)
        adapted = outputs(model)
        assert (adapted - before).abs().max() > 1e-6
        adapters.merge()
        close(outputs(model), adapted)
        adapters.unmerge()
        adapters.remove()
        close(outputs(model), before)


def test_gate_and_up_of_a_fused_matrix_are_spans_of_their_own() -> None:
    model = build("Phi3", "Phi3ForCausalLM")
    adapters = attach(model, LoRAConfig(r=2, targets=("up",), train_head=False))
    for parameter in adapters.parameters():
        parameter.data += 1
    fused = model.model.layers[0].mlp.gate_up_proj
    x = torch.ones(1, 16, dtype=torch.float64)
    changed = (fused(x) - fused.base_layer(x)).abs()[0]
    assert not changed[:22].any() and changed[22:].all()


@pytest.mark.parametrize("family", ["GPT2", "Phi3"])
def test_lora_of_peft_goes_there_and_back(family: str, tmp_path: Path) -> None:
    cls = FAMILIES[family].names()[1]
    model = build(family, cls)
    adapters = attach(model, LoRAConfig(r=2, targets=("linears",), train_head=False))
    for parameter in adapters.parameters():
        parameter.data += 0.1
    save_peft(adapters, tmp_path)
    again = build(family, cls)
    load_peft(again, tmp_path)
    close(outputs(again), outputs(model))
