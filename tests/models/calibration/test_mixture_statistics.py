"""Sums over experts, against a loop over tokens and experts."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration import expert_calls
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

from ..zoo.text_families import MIXTURES, build, padded_inputs
from .slow_statistics import slow_statistics

Build = Callable[[str], nn.Module]
SIGMOIDS = ("DeepseekV3", "Glm4Moe", "Dots1")
"""Stock mixtures whose routers take a sigmoid of each logit."""


def model_of(family: str, tiny: Build) -> nn.Module:
    if family == "converted":
        return convert(tiny("llama").double(), MoEConfig(num_experts=4, top_k=2, score="softmax_topk"))
    if family == "uneven":
        return convert(tiny("bert").double(), MoEConfig(num_experts=3, top_k=2, num_shared=1, split="random"))
    return build(family, MIXTURES[family].names()[1])


def batches_of(model: Any) -> list[Any]:
    batch = padded_inputs(model)
    more = {"input_ids": batch["input_ids"][:1] + 1, "attention_mask": batch["attention_mask"][:1]}
    return [batch, more]


@pytest.mark.parametrize("family", [*MIXTURES, "converted", "uneven"])
def test_every_sum(family: str, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expert_calls, "PAIRS", 5)
    model = model_of(family, build)
    batches = batches_of(model)
    found = mixture_statistics(model, batches, moments=True, all_outputs=True)
    slow = slow_statistics(model, batches)
    mixtures = [block for block in describe(model).blocks if block.mlp is not None and block.mlp.experts is not None]
    assert len(found) == len(slow) == len(mixtures) > 0
    for layer, sums, block in zip(found, slow, mixtures, strict=True):
        assert (layer.layer, layer.block, layer.tokens) == (block.mlp.site.path, block.index, 12 + 7)
        assert layer.softmax == (family not in SIGMOIDS) and layer.router_digest
        assert torch.equal(layer.counts, sums["counts"]) and layer.counts.sum() == layer.top_k * layer.tokens
        for name, value in sums.items():
            torch.testing.assert_close(getattr(layer, name).double(), value.double(), atol=1e-6, rtol=1e-5)


def test_what_was_not_asked_for_is_not_there(build: Build) -> None:
    layer = mixture_statistics(build("mixtral"), [torch.arange(3, 11)[None]])[0]
    assert layer.input_square is None and layer.hidden_square is None and layer.all_output is None
    assert layer.num_experts == 4 and layer.norm.dtype == torch.float64


def test_a_model_in_bfloat16_is_summed_in_float64(build: Build) -> None:
    model = build("mixtral").bfloat16()
    ids = torch.randint(3, 64, (4, 32), generator=torch.Generator().manual_seed(0))
    layer = mixture_statistics(model, [ids])[0]
    assert layer.counts.sum() == 256
    assert layer.probability is not None and layer.probability.sum().item() == pytest.approx(128, abs=1e-3)


def test_choices_of_no_expert_do_not_count(build: Build) -> None:
    """An index of N stands for none, as in a stock mixture whose router knows of experts that are gone."""
    model = build("mixtral")
    model.set_experts_implementation("eager")
    ids = torch.arange(3, 11)[None]
    before = mixture_statistics(model, [ids])[0]

    def without_the_last(module: nn.Module, args: Any, output: Any) -> Any:
        logits, weight, index = output
        return logits, weight, torch.where(index == 3, 4, index)

    for layer in model.model.layers:  # type: ignore[union-attr]
        layer.mlp.gate.register_forward_hook(without_the_last)
    after = mixture_statistics(model, [ids])[0]
    assert before.counts[3] > 0 and after.counts.tolist() == [*before.counts[:3].tolist(), 0]
    assert after.norm[3] == 0 and torch.equal(after.norm[:3], before.norm[:3])


def test_sequences_that_are_packed_into_a_row_do_not_see_each_other(build: Build) -> None:
    model: Any = model_of("converted", build)
    ids = torch.arange(3, 17)[None]
    apart = mixture_statistics(model, [{"input_ids": ids[:, :9]}, {"input_ids": ids[:, 9:]}])
    places = torch.cat((torch.arange(9), torch.arange(5)))[None]
    packed = mixture_statistics(model, [{"input_ids": ids, "position_ids": places}])
    for one, other in zip(apart, packed, strict=True):
        assert torch.equal(one.counts, other.counts)
        torch.testing.assert_close(one.output, other.output)


def test_the_model_stays_as_it_was(build: Build) -> None:
    model = build("mixtral").train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    mixture_statistics(model, [torch.arange(3, 11)[None]], moments=True)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert all(module.training for module in model.modules())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_bad_input(build: Build) -> None:
    ids = torch.arange(3, 11)[None]
    with pytest.raises(ModelError, match="LlamaForCausalLM has no mixture of experts"):
        mixture_statistics(build("llama"), [ids])
    model = build("mixtral")
    with pytest.raises(ModelError, match="mlp saw 3 real tokens of calibration data, fewer than 4"):
        mixture_statistics(model, [ids[:, :3]])
    assert mixture_statistics(model, [ids[:, :3]], least_tokens=1)[0].tokens == 3
    with pytest.raises(ModelError, match="fewer than 100: pass more or longer texts"):
        mixture_statistics(model, [ids], least_tokens=100)
    with torch.no_grad():
        model.model.layers[1].mlp.experts.down_proj[:, 0] = float("nan")
    with pytest.raises(ModelError, match=r"model.layers.1.mlp: .* is NaN or infinite"):
        mixture_statistics(model, [ids])
    assert not any(module._forward_hooks for module in model.modules())
