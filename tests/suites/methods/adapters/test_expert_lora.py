"""LoRA on experts as a link after a conversion, and in a stock mixture; routers as an option."""

import copy
from typing import Any

import pytest
import torch
from torch import nn
from transformers import MixtralConfig, MixtralForCausalLM

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.routing.statistics import aux_loss
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.tasks.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.adapters.expert_lora import ExpertLoRA
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.vtab.backbones import tiny as tiny_vit
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ...reasons import reason

BUDGET = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=8)


def mixtral(generator: torch.Generator) -> CausalLM:
    tokenizer = byte_tokenizer()
    config = MixtralConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_local_experts=4,
        num_experts_per_tok=2,
        max_position_embeddings=8192,
    )
    return CausalLM(MixtralForCausalLM(config).eval(), tokenizer)


def choices(load: Any = tiny.load, dtype: torch.dtype = torch.float32) -> Setup:
    context = Context(suite="llm", task="synthetic_choices", seed=0, budget=BUDGET, dtype=dtype)
    return SyntheticChoices().setup(load, context)


def converted(dtype: torch.dtype = torch.float32) -> Setup:
    setup = choices(dtype=dtype)
    LlamaMoEV1(preset="2of8", train="none").prepare(setup.model, setup.context)
    return setup


def moved(method: ExpertLoRA, setup: Setup) -> set[str]:
    """Names of the tensors that training changed."""
    model = method.prepare(setup.model, setup.context)
    before = copy.deepcopy(model.state_dict())
    method.fit(model, setup.data, setup.context)
    return {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}


@pytest.mark.parametrize("router", [False, True])
def test_updates_of_every_expert_train_and_routers_where_they_are_to(router: bool) -> None:
    names = moved(ExpertLoRA(rank=2, router=router), converted())
    of_router = {name for name in names if ".router." in name}
    updates = names - of_router
    assert {name for name in updates if "lora_B" in name and name.startswith("model.layers.1.mlp.experts")}
    assert all(".mlp.experts.lora_" in name for name in updates)
    parts = ("hidden", "output", "noise")
    wanted = {f"model.layers.{block}.mlp.router.{part}" for block in (0, 1) for part in parts}
    assert of_router == (wanted if router else set())


@pytest.mark.parametrize("router", [False, True])
def test_a_bias_that_balances_moves_where_routers_train(router: bool) -> None:
    setup = choices()
    convert(setup.model, MoEConfig(num_experts=4, top_k=1, score="softmax_topk", balance="bias", bias_rate=0.1))
    names = moved(ExpertLoRA(rank=2, router=router), setup)
    assert {name for name in names if "bias" in name} == (
        {f"model.layers.{block}.mlp.router.choice_bias.value" for block in (0, 1)} if router else set()
    )


def test_the_start_changes_nothing_and_a_stock_mixture_is_served() -> None:
    setup = choices(mixtral)
    ids = torch.arange(3, 15).view(2, 6)
    before = setup.model(ids).logits.detach()
    names = moved(ExpertLoRA(rank=2, router=True), setup)
    assert any("lora_B" in name for name in names)
    assert {f"model.layers.{block}.mlp.gate.weight" for block in (0, 1)} < names
    assert all("lora_" in name or ".gate.weight" in name for name in names)
    fresh: Any = choices(mixtral)
    fresh.model.load_state_dict(MixtralForCausalLM(fresh.model.config).state_dict())
    start = fresh.model(ids).logits.detach()
    torch.testing.assert_close(ExpertLoRA().prepare(fresh.model, fresh.context)(ids).logits, start)
    assert before.shape == start.shape


@pytest.mark.parametrize("router", [False, True])
def test_the_balance_loss_counts_where_routers_train(router: bool) -> None:
    setup = converted()
    method = ExpertLoRA(router=router)
    model = method.prepare(setup.model, setup.context).train()
    batch = setup.context.batches()[0]
    torch.manual_seed(0)  # the routers' noise
    total = method.loss(model, batch, setup.context)
    torch.manual_seed(0)
    plain = setup.context.loss(model, batch)
    balance = aux_loss(model)
    assert float(balance.detach()) > 0
    torch.testing.assert_close(total, plain + balance if router else plain)


@pytest.mark.parametrize("load", [tiny.load, mixtral])
def test_routers_train_in_float32_and_are_measured_in_the_precision_of_the_cell(load: Any) -> None:
    setup = choices(load, torch.bfloat16)
    if load is tiny.load:
        LlamaMoEV1(preset="2of8", train="none").prepare(setup.model, setup.context)
    method = ExpertLoRA(rank=2, router=True)
    model = method.prepare(setup.model, setup.context)
    trained = {parameter.dtype for parameter in model.parameters() if parameter.requires_grad}
    assert trained == {torch.float32}
    method.fit(model, setup.data, setup.context)
    model = method.deploy(model).eval()
    routers = {p.dtype for name, p in model.named_parameters() if ".router." in name or ".gate." in name}
    assert routers == {torch.bfloat16}
    with torch.no_grad():
        assert model(torch.arange(3, 15).view(2, 6)).logits.isfinite().all()


def test_other_targets() -> None:
    setup = converted()
    model = ExpertLoRA(rank=2, targets=("q", "down")).prepare(setup.model, setup.context)
    names = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert names and all("self_attn.q_proj.lora" in name or ".mlp.experts.lora_" in name for name in names)
    assert any(".lora_A.down." in name for name in names) and not any(".lora_A.gate_up." in name for name in names)


def test_a_model_without_experts_is_not_applicable() -> None:
    wanted = reason(Blobs, "vtab", "tiny", ExpertLoRA())
    assert wanted == "the backbone is a vision transformer: it has no experts"
    context = Context(suite="vtab", task="synthetic", seed=0, budget=BUDGET)
    with pytest.raises(NotApplicable, match="no experts"):
        Blobs().run([ExpertLoRA()], tiny_vit.load, context)


def test_in_a_vision_transformer_the_head_trains_too() -> None:
    context = Context(suite="vtab", task="synthetic", seed=0, budget=BUDGET)
    chain = [LlamaMoEV1(preset="2of8", train="none"), ExpertLoRA(rank=2, router=True)]
    setup = Blobs().setup(tiny_vit.load, context, chain)
    model: nn.Module = chain[0].prepare(setup.model, setup.context)
    names = moved(chain[1], Setup(model=model, data=setup.data, context=setup.context))  # type: ignore[arg-type]
    assert {"head.weight", "head.bias"} < names
    assert any("lora_A" in name for name in names) and any(".router." in name for name in names)
