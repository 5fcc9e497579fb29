"""The recipe of the papers, what it trains, and what it refuses."""

import copy
import dataclasses
import math
import statistics
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader
from transformers import LlamaForCausalLM, MixtralConfig, MixtralForCausalLM
from transformers.models.mixtral.modeling_mixtral import load_balancing_loss_func

from sparsebench.models.loss_scale import scaled_losses
from sparsebench.models.moe.routing.statistics import aux_loss
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.methods._language_training import LanguageTraining, stock_balance_loss
from sparsebench.suites.llm.methods.continual_pretraining import ContinualPretraining
from sparsebench.suites.llm.methods.dpo import DPO
from sparsebench.suites.llm.methods.instruction_tuning import InstructionTuning
from sparsebench.suites.llm.methods.two_stage import TwoStage
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.training.isolation import language_loss
from sparsebench.suites.llm.training.packing import Example, collate, pack
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.training.optimizer import parameter_groups

from ...reasons import reason

METHODS = (ContinualPretraining, InstructionTuning, TwoStage, DPO)


def setup(task: Any = SyntheticDomains, **budget: Any) -> Setup:
    given = Budget(**{"steps": 3, "batch_size": 4, "test_examples": 2, "calibration_examples": 2, **budget})
    return task().setup(tiny.load, Context(suite="llm", task="t", seed=0, budget=given))


def converted(found: Setup) -> nn.Module:
    return LlamaMoEV1(preset="2of8", train="none").prepare(found.model, found.context)


def changed(model: nn.Module, before: Mapping[str, Any]) -> set[str]:
    return {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}


def test_the_recipe_is_that_of_a_plain_loop() -> None:
    """AdamW's betas, decay of matrices, clipping, warm-up, a cosine to a tenth, the balance loss: bit by bit."""
    found = setup(steps=6)
    model = converted(found)
    plain: Any = copy.deepcopy(model).float().requires_grad_(True).train()
    method = ContinualPretraining(warmup=0.4, learning_rate=0.01, betas=(0.8, 0.9), clip=0.5)
    torch.manual_seed(3)
    curve = method.fit(method.prepare(model, found.context), found.data, found.context)["train loss"]

    torch.manual_seed(3)
    optimizer = torch.optim.AdamW(parameter_groups(plain, 0.1), lr=0.01, betas=(0.8, 0.9))
    generator = found.context.task_generator("data-order")
    batches = iter(
        DataLoader(
            found.data.train, 4, shuffle=True, drop_last=True, generator=generator, collate_fn=found.data.collate
        )
    )
    losses = []
    for step in range(6):
        cosine = 0.5 * (1 + math.cos(math.pi * (step - 2) / 4))
        factor = (step + 1) / 2 if step < 2 else 0.1 + (1 - 0.1) * cosine
        for group in optimizer.param_groups:
            group["lr"] = 0.01 * factor
        batch = next(batches)
        loss = found.context.loss(plain, batch) + aux_loss(plain)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(plain.parameters(), 0.5)
        optimizer.step()
        losses.append(loss.item())
    assert [value for _, value in curve] == losses
    assert not changed(model, plain.state_dict())


@pytest.mark.parametrize("train", ["all", "all_but_router", "router", "experts", "norms", "none"])
def test_just_what_the_option_names_moves(train: Any) -> None:
    found = setup(SyntheticInstructions)
    model = converted(found)
    before = copy.deepcopy(model.state_dict())
    method = InstructionTuning(train=train, learning_rate=0.01)
    method.fit(method.prepare(model, found.context), found.data, found.context)
    names = {name for name, _ in model.named_parameters()}
    routers = {name for name in names if ".router." in name}
    expected = {
        "all": names,
        "all_but_router": names - routers,
        "router": routers,
        "experts": {name for name in names if ".experts." in name},
        "norms": {name for name in names if "norm" in name},
        "none": set(),
    }[train]
    assert routers and changed(model, before) == expected


def test_the_loss_falls_and_its_curves_run_over_tokens() -> None:
    found = setup(steps=20)
    method = ContinualPretraining(eval_every=10, learning_rate=1e-2)
    curves = method.fit(method.prepare(converted(found), found.context), found.data, found.context)
    assert curves["train loss"][-1][1] < curves["train loss"][0][1] - 0.3
    assert curves["val loss"][-1][1] < curves["val loss"][0][1]
    assert curves["val loss"][0][0] == 10 and curves["train loss by tokens"][0][0] == 4 * 64


@pytest.mark.parametrize("kind", METHODS)
def test_a_link_of_a_chain_trains_what_the_conversion_made(kind: Any) -> None:
    task = SyntheticDomains if kind is ContinualPretraining else SyntheticInstructions
    context = Context(suite="llm", task="t", seed=0, budget=Budget(steps=2, batch_size=4, test_examples=2))
    outcome = task().run([LlamaMoEV1(train="none"), kind()], tiny.load, context)
    assert outcome.training is not None and outcome.training.steps == 2 and outcome.training.tokens
    assert outcome.curves["2. train loss"] and math.isfinite(outcome.metrics[outcome.main_metric].value)


@pytest.mark.parametrize("kind", METHODS)
def test_where_the_task_does_not_train_it_is_not_applicable(kind: Any) -> None:
    assert reason(SyntheticText, "llm", "tiny", kind()) == "this task does not train"


def test_a_budget_beyond_the_data_is_an_error_unless_they_may_come_again() -> None:
    found = setup(steps=1000)
    method = ContinualPretraining()
    model = method.prepare(found.model, found.context)
    with pytest.raises(ValueError, match=r"before the 1000 steps of the budget.*repeat: true"):
        method.fit(model, found.data, found.context)
    few = setup(steps=12)
    part = dataclasses.replace(few.data, train=few.data.train[:40])
    again = ContinualPretraining(repeat=True)
    assert again.train_stage(again.prepare(few.model, few.context), part, few.context).steps == 12
    tail = dataclasses.replace(found.data, train=found.data.train[:6])
    short = dataclasses.replace(found.context, budget=Budget(tokens=6 * 64, batch_size=4))
    with pytest.raises(ValueError, match="end after 1 steps and 256 tokens"):
        method.fit(model, tail, short)


def test_a_loss_that_is_not_finite_names_the_domain() -> None:
    found = setup(epochs=1, steps=None)
    method = ContinualPretraining()
    model: Any = method.prepare(found.model, found.context)
    broken = found.data.only(["backwards"]).train[0].examples[0].ids[5]
    rows = [row for row in found.data.train if row.group == "backwards" or broken not in row.examples[0].ids]
    with torch.no_grad():
        model.get_input_embeddings().weight[broken] = float("nan")
    with pytest.raises(FloatingPointError, match="'backwards' is NaN"):
        method.fit(model, dataclasses.replace(found.data, train=rows), found.context)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"learning_rate": 0.0}, "learning_rate=0.0 must be above 0"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"clip": 0.0}, "clip=0.0 must be above 0"),
        ({"accumulation": 0}, "accumulation=0"),
        ({"lowest": 1.5}, "lowest=1.5"),
        ({"warmup": -0.1}, "warmup=-0.1"),
        ({"eval_every": 0}, "eval_every=0"),
    ],
)
def test_values_that_cannot_be(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        LanguageTraining(**options)


def test_the_balance_loss_counts() -> None:
    found = setup(SyntheticInstructions)
    model = converted(found).train()
    batch = found.data.collate(found.data.train[:2])
    torch.manual_seed(0)
    whole = InstructionTuning().loss(model, batch, found.context)
    torch.manual_seed(0)
    task = found.context.loss(model, batch)
    assert whole.item() == pytest.approx((task + aux_loss(model)).item(), abs=1e-7) and aux_loss(model) > 0


def test_bfloat16_products_change_the_loss_less_than_another_order_of_the_data() -> None:
    """Weights and optimizer stay in float32; only the products of the loss are in bfloat16, under autocast."""
    whole = losses(torch.float32, seed=0)
    half = losses(torch.bfloat16, seed=0)
    other = losses(torch.float32, seed=1)
    assert half != whole
    rounding = statistics.fmean(abs(a - b) for a, b in zip(half, whole, strict=True))
    noise = statistics.fmean(abs(a - b) for a, b in zip(other, whole, strict=True))
    assert rounding < 0.02
    assert rounding < noise / 3


def losses(dtype: torch.dtype, seed: int) -> list[float]:
    """Training losses, in nats per token, of the same cut of the same model."""
    budget = Budget(steps=20, batch_size=4, test_examples=2, calibration_examples=2)
    given = Context(suite="llm", task="t", seed=0, budget=budget, dtype=dtype)
    found = SyntheticDomains().setup(tiny.load, given)
    method = ContinualPretraining(learning_rate=0.01)
    model = method.prepare(converted(found), found.context)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    torch.manual_seed(0)  # of the noise of v1's routers
    context = dataclasses.replace(found.context, seed=seed)
    return [value for _, value in method.fit(model, found.data, context)["train loss"]]


CPU = torch.device("cpu")


@pytest.fixture
def mixtral() -> Any:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=24,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        num_local_experts=4,
        num_experts_per_tok=2,
        router_aux_loss_coef=0.3,
        sliding_window=None,
    )
    return MixtralForCausalLM(config).train()


def packed() -> dict[str, Any]:
    draws = torch.Generator().manual_seed(1)
    examples = []
    for number, size in enumerate((9, 7, 5, 4)):
        ids = tuple(torch.randint(64, (size,), generator=draws).tolist())
        examples.append(Example(str(number), "law", ids, ids))
    return collate(pack(examples, 16), 16, CPU)


def test_it_is_that_of_transformers_over_real_tokens(mixtral: Any) -> None:
    """The gradient of the loss alone brings it along, scaled as the loss is."""
    mixtral.double().set_experts_implementation("eager")
    batch = packed()
    assert (batch["sequence_ids"] < 0).any()
    logits: Any = []
    hooks = []
    for layer in mixtral.model.layers:
        hooks.append(layer.mlp.gate.register_forward_hook(lambda module, args, output: logits.append(output[0])))
    gate = mixtral.model.layers[0].mlp.gate.weight
    task = language_loss(mixtral, batch)
    mask = (batch["sequence_ids"] >= 0).long()
    theirs: Any = 0.3 * load_balancing_loss_func(tuple(logits), 4, 2, mask)
    with_padding: Any = 0.3 * load_balancing_loss_func(tuple(logits), 4, 2)
    (expected,) = torch.autograd.grad(0.5 * (task + theirs), [gate])
    for hook in hooks:
        hook.remove()
    with stock_balance_loss(mixtral) as balance:
        loss = language_loss(mixtral, batch)
    assert balance().item() == pytest.approx(theirs.item(), abs=1e-6)
    assert abs(balance().item() - with_padding.item()) > 1e-4
    (whole,) = torch.autograd.grad(loss, [gate], retain_graph=True)
    with scaled_losses(0.5):
        (ours,) = torch.autograd.grad(0.5 * loss + balance(), [gate])
    torch.testing.assert_close(ours, expected, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(whole, 2 * expected, rtol=1e-6, atol=1e-9)


def test_it_is_nothing_in_evaluation_and_for_other_models(mixtral: Any, lm: CausalLM) -> None:
    batch = packed()
    assert isinstance(lm.model, LlamaForCausalLM)
    for model in (mixtral.eval(), lm.model.train()):
        with stock_balance_loss(model) as balance:
            language_loss(model, batch)
        assert balance().item() == 0.0


def test_no_hook_stays(mixtral: Any) -> None:
    with pytest.raises(ZeroDivisionError), stock_balance_loss(mixtral):
        raise ZeroDivisionError
    assert not any(module._forward_hooks for module in mixtral.modules())
