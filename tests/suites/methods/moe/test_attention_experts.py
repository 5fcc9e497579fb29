"""Attention experts alone and with FFN experts: gradients against finite differences, and what each option trains."""

import copy
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.moe.attention.layer import AttentionMoE
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.tasks.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.shared._tuned import TunedMethod

BUDGET = Budget(epochs=1, batch_size=16, test_examples=8, calibration_examples=8)
STEP = 1e-6
"""Of the differences: their error is about STEP^2 plus 1e-16 / STEP, relative to values of size 1."""


def eight_heads(generator: torch.Generator) -> CausalLM:
    """Two blocks of width 32 with 8 query heads in 4 groups, so that 8 experts share them out."""
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=8,
        num_key_value_heads=4,
        max_position_embeddings=8192,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, 0.3, generator=generator)
    return CausalLM(model.eval(), tokenizer)


def in_float64(model: Any) -> Any:
    """Norms of transformers compute in float32 whatever the model is in: torch's own take their place."""
    for block in model.model.layers:
        for name in ("input_layernorm", "post_attention_layernorm"):
            setattr(block, name, nn.RMSNorm(32, eps=1e-6))
    model.model.norm = nn.RMSNorm(32, eps=1e-6)
    return model.double()


def exact_loss(model: nn.Module, batch: Mapping[str, Tensor]) -> Tensor:
    """Cross-entropy of the next token, in the precision of the model."""
    logits = model(input_ids=batch["input_ids"], use_cache=False).logits[:, :-1]
    return nn.functional.cross_entropy(logits.flatten(0, 1), batch["input_ids"][:, 1:].flatten())


def alone(**fields: Any) -> MoEAttention:
    return MoEAttention(num_experts=4, top_k=3, **fields)


def both(**fields: Any) -> LlamaMoEV2:
    return LlamaMoEV2(preset="attn_7of8", **fields)


@pytest.mark.parametrize(
    "method",
    [alone(train="all"), alone(train="all", mode="keep_kv"), both(train="all")],
    ids=["alone", "keep_kv", "both"],
)
def test_gradients_of_routers_and_experts_are_those_of_finite_differences(method: TunedMethod) -> None:
    """In float64, along a random direction of each parameter, balance losses included."""
    generator = torch.Generator().manual_seed(0)
    model = in_float64(eight_heads(generator).model)
    context = Context(
        suite="llm",
        task="t",
        seed=0,
        target=Target("next-token", 259),
        loss=exact_loss,
        trains=True,
        dtype=torch.float64,
    )
    model = method.prepare(model, context).double().train()
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, AttentionMoE | MoEFFN):
                module.router.weight.normal_(0, 0.5, generator=generator)  # type: ignore[operator, union-attr]
    batch = {"input_ids": torch.randint(3, 200, (2, 9), generator=generator)}
    method.loss(model, batch, context).backward()
    checked = set()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        direction = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
        slope = float((parameter.grad * direction).sum())
        start = parameter.detach().clone()
        values = []
        with torch.no_grad():
            for sign in (1, -1):
                parameter.copy_(start + sign * STEP * direction)
                values.append(float(method.loss(model, batch, context)))
            parameter.copy_(start)
        assert (values[0] - values[1]) / (2 * STEP) == pytest.approx(slope, rel=1e-5, abs=1e-7), name
        if abs(slope) > 1e-4:
            checked.add(name.partition("layers.")[2].partition(".")[2])
    wanted = {"self_attn.router.weight", "self_attn.qkv", "self_attn.out"}
    if isinstance(method, LlamaMoEV2):
        wanted |= {"mlp.router.weight", "mlp.experts.gate_up", "mlp.experts.down"}
    assert wanted <= checked, "a slope of 0 would show nothing"


def test_a_wrong_gradient_would_be_seen() -> None:
    """The same differences refuse a gradient that is 1 % too large."""
    method = LlamaMoEV2(preset="8top2", train="all")
    model = in_float64(eight_heads(torch.Generator().manual_seed(0)).model)
    context = Context(suite="llm", task="t", seed=0, target=Target("next-token", 259), loss=exact_loss, trains=True)
    model: Any = method.prepare(model, context).double().train()
    batch = {"input_ids": torch.randint(3, 200, (2, 9), generator=torch.Generator().manual_seed(1))}
    method.loss(model, batch, context).backward()
    router = model.model.layers[0].mlp.router
    wrong = 1.01 * router.weight.grad
    start = router.weight.detach().clone()
    values = []
    with torch.no_grad():
        for sign in (1, -1):
            router.weight.copy_(start + sign * STEP * wrong)
            values.append(float(method.loss(model, batch, context)))
    slope = (values[0] - values[1]) / (2 * STEP)
    assert slope != pytest.approx(float((wrong * wrong).sum()), rel=1e-5, abs=1e-12)
    assert slope == pytest.approx(float((router.weight.grad * wrong).sum()), rel=1e-4)


def choices() -> Setup:
    context = Context(suite="llm", task="synthetic_choices", seed=0, budget=BUDGET)
    return SyntheticChoices().setup(eight_heads, context)


def moved(method: TunedMethod) -> set[str]:
    """What of the two blocks training changed, by its name in a block."""
    setup = choices()
    model = method.prepare(setup.model, setup.context)
    before = copy.deepcopy(model.state_dict())
    method.fit(model, setup.data, setup.context)
    changed = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    by_block = [{name.partition(f"layers.{block}.")[2] for name in changed} - {""} for block in (0, 1)]
    assert by_block[0] == by_block[1]
    outside = {name for name in changed if "layers." not in name}
    assert not outside or method.train == "all"
    return by_block[0]


ATTENTION = {"self_attn.qkv", "self_attn.out"}
FFN = {"mlp.experts.gate_up", "mlp.experts.down"}
NORMS = {"input_layernorm.weight", "post_attention_layernorm.weight"}
DENSE_FFN = {f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")}


@pytest.mark.parametrize(
    ("make", "router", "experts", "rest"),
    [
        (alone, {"self_attn.router.weight"}, ATTENTION, NORMS | DENSE_FFN),
        (both, {"self_attn.router.weight", "mlp.router.weight"}, ATTENTION | FFN, NORMS),
    ],
)
def test_router_experts_or_all_train_through_the_loop(
    make: Any, router: set[str], experts: set[str], rest: set[str]
) -> None:
    assert moved(make(train="router")) == router
    assert moved(make(train="experts")) == experts
    assert moved(make(train="all")) == router | experts | rest
    assert moved(make(train="none")) == set()
