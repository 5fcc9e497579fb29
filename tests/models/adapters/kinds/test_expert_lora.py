"""LoRA on fused experts, expert by expert; that PEFT computes the same is in `files/test_peft_experts.py`."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach, load_adapters, save_adapters
from sparsebench.models.adapters.kinds.expert_lora import ExpertLoRALayer
from sparsebench.models.anatomy import Experts, describe
from sparsebench.models.calibration.mixture_statistics import LayerStatistics, mixture_statistics
from sparsebench.models.compression.trimming.experts.atoms import mask_atoms
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.compression.trimming.experts.mean_outputs import replace_by_mean
from sparsebench.models.compression.trimming.experts.merging import merge_similar
from sparsebench.models.compression.trimming.experts.subset import keep_best_subsets
from sparsebench.models.compression.trimming.experts.width import narrow_experts
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.routing.top_k import set_top_k

from ...agreement import agree
from ...compression.slimming.mixtures import batches, mixture
from ..conftest import NEAR, noise

Build = Callable[[str], Any]
IDS = torch.randint(3, 64, (2, 9), generator=torch.Generator().manual_seed(0))
ALL = LoRAConfig(r=3, alpha=5, targets=("linears",), train_head=False)


@torch.no_grad()
def logits(model: nn.Module) -> torch.Tensor:
    return model(IDS).logits


def converted(build: Build) -> nn.Module:
    model = build("llama")
    for layer in model.model.layers:
        layer.mlp.gate_proj, layer.mlp.up_proj = nn.Linear(32, 48, bias=False), nn.Linear(32, 48, bias=False)
        layer.mlp.down_proj = nn.Linear(48, 32, bias=False)
    noise(model.parameters(), 0.1)
    return convert(model, MoEConfig(num_experts=4, top_k=2, num_shared=1)).eval()


MODELS: dict[str, Callable[[Build], nn.Module]] = {
    "mixtral": lambda build: build("mixtral"),
    "qwen2_moe": lambda build: build("qwen2_moe"),
    "converted": converted,
}


@pytest.mark.parametrize("name", MODELS)
def test_exact_at_the_start_changed_by_training_merged_and_taken_off(name: str, build: Build) -> None:
    model = MODELS[name](build)
    before = logits(model)
    adapters = attach(model, ALL)
    assert torch.equal(logits(model), before)
    layers = [layer for _, layer in adapters.layers() if isinstance(layer, ExpertLoRALayer)]
    assert len(layers) == (4 if name == "converted" else 2)
    noise(adapters.parameters())
    adapted = logits(model)
    assert not torch.allclose(adapted, before)
    adapters.merge()
    agree(logits(model), adapted, "logits", within=NEAR)
    adapters.unmerge()
    agree(logits(model), adapted, "logits after unmerge")
    model.train()
    loss = model(IDS, labels=IDS).loss
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in adapters.parameters())
    model.eval()
    adapters.remove()
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize(
    ("name", "target", "count"), [("mixtral", "experts", 2), ("converted", "experts", 2), ("converted", "linears", 4)]
)
def test_each_expert_has_the_update_of_its_own_factors(name: str, target: str, count: int, build: Build) -> None:
    model = MODELS[name](build)
    adapters = attach(model, LoRAConfig(r=2, alpha=3, targets=(target,), train_head=False))
    noise(adapters.parameters())
    layers = [layer for _, layer in adapters.layers() if isinstance(layer, ExpertLoRALayer)]
    assert len(layers) == count
    for layer in layers:
        for key, update in layer.updates():
            lora_A, lora_B = layer.lora_A[key].effective(), layer.lora_B[key].effective()
            for expert in range(layer.experts):
                a, b = lora_A[2 * expert : 2 * expert + 2], lora_B[:, expert :: layer.experts]
                torch.testing.assert_close(update[expert], 1.5 * b @ a)


def test_two_sets_add_up(build: Build) -> None:
    model = build("mixtral")
    first = attach(model, ALL, "first")
    noise(first.parameters())
    second = attach(model, ALL, "second")
    one = logits(model)
    noise(second.parameters(), 0.1)
    both = logits(model)
    assert not torch.allclose(one, both)
    second.merge()
    torch.testing.assert_close(logits(model), both, atol=1e-5, rtol=1e-4)


def test_experts_are_left_out_only_where_that_is_said(build: Build) -> None:
    model = build("mixtral")
    adapters = attach(model, LoRAConfig(targets=("linears",), experts=False, train_head=False))
    assert not any("experts" in place for place, _ in adapters.layers())
    adapters.remove()
    with pytest.raises(ModelError, match=r"mlp\.experts holds gate_up_proj as one fused matrix: name gate and up"):
        attach(model, LoRAConfig(targets=("q", "up")))
    with pytest.raises(ModelError, match=r"dropout=0\.1 cannot act on fused experts"):
        attach(model, LoRAConfig(targets=("linears",), dropout=0.1))
    adapters = attach(model, LoRAConfig(r=2, targets=("down",), train_head=False))
    assert {key for _, layer in adapters.layers() for key in layer.lora_A} == {"down_proj"}
    with pytest.raises(ModelError, match="finds no target in Listed"):
        attach(mixture("listed"), LoRAConfig(targets=("q", "v")))


@pytest.mark.parametrize(
    ("targets", "parts"), [(("linears",), {"up", "down"}), (("experts",), {"up", "down"}), (("gate", "up"), {"up"})]
)
def test_experts_in_a_list_get_a_pair_each(targets: tuple[str, ...], parts: set[str]) -> None:
    model, (batch,) = mixture("listed"), batches("listed", count=1)
    before = model(batch)
    adapters = attach(model, LoRAConfig(r=2, targets=targets))
    places = {f"layers.{layer}.experts.{expert}.{part}" for layer in (0, 1) for expert in range(3) for part in parts}
    assert {place for place, _ in adapters.layers()} == places
    assert torch.equal(model(batch), before)
    noise(adapters.parameters())
    adapted = model(batch)
    assert not torch.allclose(adapted, before)
    assert describe(model).blocks[0].mlp.experts.weights(1).up.shape == (16, 32)
    adapters.merge()
    torch.testing.assert_close(model(batch), adapted, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "bert"])
def test_zeros_that_fill_experts_up_stay_zeros(name: str, build: Build) -> None:
    model = convert(build(name), MoEConfig(num_experts=4, top_k=2)).eval()
    adapters = attach(model, ALL)
    noise(adapters.parameters())
    adapted = logits(model)
    adapters.merge()
    torch.testing.assert_close(logits(model), adapted, atol=1e-5, rtol=1e-4)
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None and mlp.experts.module is not None
    bank = mlp.experts.module.get()
    assert bank.sizes == (13, 13, 12, 12)
    assert not bank.down[2:, :, 12:].any() and not bank.gate_up[2:, 12].any()
    assert bank.down[:2, :, 12:].all()


@pytest.mark.parametrize("name", MODELS)
def test_active_parameters_count_the_factors_of_k_of_n_experts(name: str, build: Build) -> None:
    model = MODELS[name](build)
    before = count_parameters(model)
    adapters = attach(model, ALL)
    after = count_parameters(model)
    routed = 0
    for _, layer in adapters.layers():
        if isinstance(layer, ExpertLoRALayer) and not layer.shared:
            routed += sum(parameter.numel() for _, parameter in layer.adapter_parameters())
    top_k, experts = (2, 3) if name == "converted" else (2, 4)
    assert after.total - before.total == adapters.count()
    expected = adapters.count() - routed * (experts - top_k) / experts
    assert after.active - before.active == pytest.approx(expected, abs=4)


@pytest.mark.parametrize("name", MODELS)
def test_active_parameters_follow_the_number_of_chosen_experts(name: str, build: Build) -> None:
    model = MODELS[name](build)
    attach(model, ALL)
    set_top_k(model, 1)
    other = MODELS[name](build)
    set_top_k(other, 1)
    attach(other, ALL)
    assert count_parameters(model) == count_parameters(other)


CHANGES: dict[str, Callable[[nn.Module, list[LayerStatistics]], object]] = {
    "order": lambda model, _: _experts(model).keep(list(reversed(range(_experts(model).num_experts)))),
    "keep one": lambda model, _: _experts(model).keep([1]),
    "neurons": lambda model, _: _experts(model).keep_neurons([torch.arange(8)] * _experts(model).num_experts),
    "weights": lambda model, _: _experts(model).set_weights(0, _experts(model).weights(1)),
    "drop": lambda model, seen: expert_drop(model, seen, 0.5),
    "preserve": lambda model, seen: expert_drop(model, seen, 0.5, preserve_gate=True),
    "best": lambda model, _: keep_best_subsets(model, [IDS], 0.5),
    "merge": lambda model, seen: merge_similar(model, seen, 0.5),
    "mean": lambda model, seen: replace_by_mean(model, seen, 0.5),
    "width": lambda model, seen: narrow_experts(model, seen, {1: 8}),
    "atoms": lambda model, seen: mask_atoms(model, seen, [], 0.5),
}


def _experts(model: nn.Module) -> Experts:
    mlp = describe(model).blocks[-1].mlp
    assert mlp is not None and mlp.experts is not None
    return mlp.experts


@pytest.mark.parametrize(
    ("name", "change"),
    [*(("mixtral", change) for change in CHANGES), ("converted", "order"), ("converted", "keep one")],
)
def test_experts_stay_as_they_are_while_they_are_adapted(name: str, change: str, build: Build) -> None:
    """Factors by expert would stay behind: another expert's, or of an expert that is gone."""
    model = MODELS[name](build)
    # Of one mixture of two: the other one must not be changed either.
    adapters = attach(model, LoRAConfig(r=2, targets=("experts",), blocks=1, train_head=False))
    noise(adapters.parameters())
    seen = mixture_statistics(model, [IDS], all_outputs=True, moments=True)
    before = logits(model)
    with pytest.raises(ModelError, match="take the adapters off first"):
        CHANGES[change](model, seen)
    assert torch.equal(logits(model), before)


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe", "converted"])
def test_statistics_are_those_of_adapted_experts(name: str, build: Build) -> None:
    model = MODELS[name](build)
    adapters = attach(model, ALL)
    noise(adapters.parameters())
    adapted = mixture_statistics(model, [IDS], moments=True)
    adapters.merge()
    for ours, merged in zip(adapted, mixture_statistics(model, [IDS], moments=True), strict=True):
        assert torch.equal(ours.counts, merged.counts)
        torch.testing.assert_close(ours.hidden_square, merged.hidden_square, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.output, merged.output, rtol=1e-5, atol=1e-5)


def test_files_from_before_experts_were_adapted_still_load(build: Build, tmp_path) -> None:
    model = build("mixtral")
    adapters = attach(model, LoRAConfig(targets=("linears",), experts=False, train_head=False))
    save_adapters(adapters, tmp_path)
    description = next(tmp_path.glob("*.json"))
    fields = json.loads(description.read_text())
    assert fields["config"]["fields"].pop("experts") is False
    description.write_text(json.dumps(fields))
    assert load_adapters(build("mixtral"), tmp_path).config == adapters.config
