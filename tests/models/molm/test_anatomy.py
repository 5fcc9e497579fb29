"""What the anatomy says of a MoLM, and the transforms that stand on it."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression import expert_drop
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import routing_probe
from sparsebench.models.molm import MoLMForCausalLM
from sparsebench.models.molm.modeling import CACHE

from .small_molm import SIZES, small

IDS = torch.arange(24).view(2, 12) * 7 % 40


def comes_back(model: MoLMForCausalLM, folder: Path) -> None:
    save(model.eval(), folder)
    with torch.no_grad():
        assert torch.equal(load(folder)(IDS).logits, model(IDS).logits)


@pytest.mark.parametrize("router", ["mlp", "linear", "cosine"])
def test_anatomy(router: str) -> None:
    model = small(router=router)
    anatomy = describe(model)
    assert anatomy.traits == {"blocks", "attention", "experts", "causal"}
    mlp, attention = anatomy.blocks[1].mlp, anatomy.blocks[1].attention
    assert mlp is not None and mlp.experts is not None and attention is not None
    assert (mlp.width, mlp.hidden, mlp.experts.num_experts, mlp.experts.top_k) == (12, 10, 5, 2)
    assert (attention.num_heads, attention.head_dim, len(attention.linears)) == (2, 4, 2)
    assert [site.path for site in attention.fused] == ["layers.1.self_attn.query", "layers.1.self_attn.out"]
    up, down = model.layers[1].mlp.experts.gate_up, model.layers[1].mlp.experts.down
    x = torch.randn(3, 12)
    hidden = torch.nn.functional.gelu(x @ up[2].T, approximate="tanh")
    torch.testing.assert_close(mlp.experts.hidden(2, x), hidden)
    assert mlp.experts.weights(2).gate is None and torch.equal(mlp.experts.weights(2).down, down[2])


def test_active_parameters() -> None:
    """Of 5 experts of 2 * 12 * 10 weights 3 are idle, of 4 of the attention of 2 * 12 * 8 weights 2, in both blocks."""
    counts = count_parameters(small())
    assert counts.total - counts.active == 2 * (3 * 2 * 12 * 10 + 2 * 2 * 12 * 8)


@torch.no_grad()
def test_the_probe_sees_both_mixtures_and_no_padding() -> None:
    model = small()
    mask = torch.ones(2, 12)
    mask[0, :3] = 0
    with routing_probe(model) as probe:
        model(IDS, attention_mask=mask)
    assert probe.layers.keys() == {f"layers.{index}.{part}" for index in (0, 1) for part in ("self_attn", "mlp")}
    assert {seen.tokens for seen in probe.layers.values()} == {21}
    assert len(probe.layers["layers.0.self_attn"].load) == SIZES["num_attention_experts"]


@pytest.mark.parametrize("preserve_gate", [False, True])
def test_expert_drop(preserve_gate: bool, tmp_path: Path) -> None:
    model = small()
    expert_drop(model, mixture_statistics(model, [{"input_ids": IDS}]), 3, preserve_gate=preserve_gate)
    assert model.config.num_experts == (5 if preserve_gate else 3)
    comes_back(model, tmp_path / "dropped")


@pytest.mark.parametrize("part", ["remove_mlp", "remove_attention"])
def test_removed_parts_leave_training_and_the_cache_as_they_are(part: str, tmp_path: Path) -> None:
    model = small()
    getattr(describe(model).blocks[0], part)()
    model.train()(IDS, labels=IDS).loss.backward()
    comes_back(model, tmp_path / "smaller")
    with torch.no_grad():
        first = model(IDS[:, :8], use_cache=True)
        rest: Tensor = model(IDS[:, 8:], cache=first[CACHE]).logits
        torch.testing.assert_close(rest, model(IDS).logits[:, 8:])


def test_lora_in_experts_and_not_in_those_of_the_attention(tmp_path: Path) -> None:
    model = small()
    with pytest.raises(ModelError, match=r"layers\.0\.self_attn\.query holds the queries of all attention experts"):
        attach(model, LoRAConfig(r=2, targets=("q", "v")))
    adapters = attach(model, LoRAConfig(r=2, targets=("k", "v", "experts"), init="normal"))
    assert len(list(adapters.layers())) == 2 * 3
    comes_back(model, tmp_path / "adapted")


def test_narrower_experts() -> None:
    model = small()
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    mlp.experts.keep_neurons([torch.arange(6)] * 5)
    bank = model.layers[0].mlp.experts
    assert bank.sizes == (6,) * 5 and bank.down.shape == (5, 12, 6)
    assert model(IDS).logits.isfinite().all()
