"""A model trains on, zeros and dtype stay, and packed weights are refused."""

import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Glm4MoeConfig, Glm4MoeForCausalLM, MixtralConfig, MixtralForCausalLM

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.steps.healing import BATCH, LENGTH, Heal
from sparsebench.suites.model_tools.steps.weights import Prune, Quantise


def test_the_loss_falls_and_zeros_stay(work: Callable[..., Work]) -> None:
    one = work(MoEConfig(num_experts=4, balance="switch"))
    one.model.to(torch.bfloat16)
    Prune(method="magnitude", parts=("experts",)).apply(one)
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    lines: list[str] = []
    one.say = lines.append
    line = Heal(tokens=3000, learning_rate=1e-2).apply(one)
    first, last = (float(each) for each in line.partition("loss ")[2].removesuffix(" nats a token").split(" -> "))
    assert last < first - 0.5 and lines[0].startswith("  ") and "of 3000 tokens" in lines[0]
    after = dict(one.model.named_parameters())
    assert all(weight.dtype == torch.bfloat16 and weight.requires_grad for weight in after.values())
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(".router." in name for name in moved) and any("embed_tokens" in name for name in moved)
    for name in before:
        if ".experts." in name:
            assert torch.equal(before[name] == 0, after[name] == 0), name


def test_each_tensor_keeps_its_dtype(work: Callable[..., Work], tmp_path: Path) -> None:
    """Routers of GLM-4-MoE are in float32 in a model of bfloat16, and so is the bias of ours."""
    ours = work(MoEConfig(num_experts=4, score="sigmoid", balance="bias"))
    ours.model.to(torch.bfloat16)
    stock = work()
    config = Glm4MoeConfig(
        vocab_size=len(stock.tokenizer),
        hidden_size=32,
        intermediate_size=32,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=16,
        n_routed_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=64,
    )
    Glm4MoeForCausalLM(config).to(torch.bfloat16).save_pretrained(tmp_path / "glm")
    stock.model = Glm4MoeForCausalLM.from_pretrained(tmp_path / "glm", dtype="auto").eval()
    for one, kept in ((ours, "router.choice_bias.value"), (stock, "mlp.gate.weight")):
        before = {name: (value.dtype, value.clone()) for name, value in one.model.state_dict().items()}
        assert {dtype for dtype, _ in before.values()} >= {torch.bfloat16, torch.float32}
        line = Heal(tokens=200, learning_rate=1e-2).apply(one)
        assert ("; its mixtures have no balance loss" in line) == (one is stock)
        after = one.model.state_dict()
        assert {name: value.dtype for name, value in after.items()} == {name: old for name, (old, _) in before.items()}
        (name,) = [name for name in after if name.endswith(kept) and ".1." in name]
        assert after[name].dtype == torch.float32 and not torch.equal(after[name], before[name][1])


@pytest.mark.parametrize("coefficient", [0.0, 50.0])
def test_a_stock_mixture_heals_with_its_own_balance_loss(work: Callable[..., Work], coefficient: float) -> None:
    """Step by step what transformers trains on with its balance loss in the loss; it is not of our layers."""
    one = work()
    config = MixtralConfig(
        vocab_size=len(one.tokenizer),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        num_local_experts=4,
        max_position_embeddings=64,
        router_aux_loss_coef=coefficient,
    )
    torch.manual_seed(0)
    one.model = MixtralForCausalLM(config).eval()
    one.model.model.norm.requires_grad_(False)
    twin = copy.deepcopy(one.model)
    line = Heal(tokens=1, learning_rate=1e-2).apply(one)
    assert "balance" not in line and not one.model.config.output_router_logits
    assert [name for name, weight in one.model.named_parameters() if not weight.requires_grad] == ["model.norm.weight"]
    rows = one.rows(LENGTH, 1)[:BATCH]
    twin.requires_grad_(True)
    loss = twin(input_ids=rows, labels=rows, output_router_logits=True).loss
    loss.backward()
    torch.nn.utils.clip_grad_norm_(twin.parameters(), 1.0)
    for name, weight in one.model.named_parameters():
        moved = weight.detach() - twin.get_parameter(name).detach()
        gradient = twin.get_parameter(name).grad
        clear = gradient.abs() > 1e-5
        assert clear.any() and torch.equal(moved[clear].sign(), -gradient[clear].sign()), name


def test_what_trains_is_named(work: Callable[..., Work]) -> None:
    one = work()
    before = {name: weight.detach().clone() for name, weight in one.model.named_parameters()}
    Heal(tokens=200, train="norms").apply(one)
    moved = {name for name, weight in one.model.named_parameters() if not torch.equal(before[name], weight)}
    assert moved and all("norm" in name for name in moved)
    with pytest.raises(ModelError, match="has nothing of that kind"):
        Heal(tokens=200, train="experts").apply(one)


def test_mistakes(work: Callable[..., Work]) -> None:
    with pytest.raises(ModelError, match="tokens=0"):
        Heal(tokens=0)
    with pytest.raises(ModelError, match="learning_rate=2"):
        Heal(tokens=1, learning_rate=2)
    one = work()
    Quantise(method="rtn").apply(one)
    with pytest.raises(ModelError, match="heal before the weights are rounded"):
        Heal(tokens=200).apply(one)
