"""The gate, the experts and the balance loss of LLaMA-MoE v1 against what its official code computed."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.moe import preset
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.balance import smooth_load
from sparsebench.models.moe.routing.counts import importance
from sparsebench.models.moe.routing.router import LinearRouter, MLPRouter, Router

from .oracle import Oracle, difference, rounding

ORACLE = Oracle("llama_moe_v1.safetensors")
SETTINGS = ORACLE.about["layers"]
CASES = tuple(case for case in SETTINGS if case != "2of8_nosoftmax")
"""Raw logits as weights are no score of ours; `test_the_bank` has the experts of that case."""
FORWARD = rounding(products=4, terms=48)
"""Two products of the gate and two of an expert, of at most 48 neurons."""
BACKWARD = rounding(products=8, terms=48)
"""The same again, backwards; 40 tokens are added up."""
BALANCE = 100
"""Weight of the balance loss in the loss that the recorded gradients are of."""
PARTS = ("gate", "up", "down")


def configuration(case: str) -> MoEConfig:
    given = SETTINGS[case]
    return preset(
        "llama_moe_v1_2of8",
        faithful=True,
        num_experts=given["num_experts"],
        top_k=given["num_selects"],
        scale=given["score_scale_factor"],
        router=given["gate_network"],
        noise="shazeer" if given["add_noise"] else "none",
        balance_coef=given["balance_loss_weight"],
    )


def bank(case: str) -> ExpertBank:
    sizes = SETTINGS[case]["size_experts"]
    stems = {part: f"{case}.weights.calculator.experts.weight_{part}" for part in PARTS}
    gate, up, down = ([ORACLE[f"{stem}.{expert}"] for expert in range(len(sizes))] for stem in stems.values())
    ends = torch.tensor([0, *sizes]).cumsum(0).tolist()
    groups = [torch.arange(start, end) for start, end in pairwise(ends)]
    return ExpertBank.of(groups, gate=torch.cat(gate), up=torch.cat(up), down=torch.cat(down, dim=1), activation=F.silu)


def router(case: str, config: MoEConfig) -> Router:
    stem = f"{case}.weights.gate."
    if config.router == "linear":
        made: Router = LinearRouter(config, ORACLE[f"{stem}gate_network.weight"])
    else:
        hidden, output = ORACLE[f"{stem}gate_network.0.weight"], ORACLE[f"{stem}gate_network.2.weight"]
        made = MLPRouter(config, hidden, output)
    if made.noise is not None:
        made.noise.data.copy_(ORACLE[f"{stem}weight_noise.weight"])
    return made


def layer(case: str) -> MoEFFN:
    config, experts = configuration(case), bank(case)
    hidden = sum(experts.sizes)
    return MoEFFN(
        config=config,
        router=router(case, config),
        experts=experts,
        shared=None,
        down_bias=None,
        neurons=torch.arange(hidden),
        hidden=hidden,
        template=(nn.Identity(), None),
    )


def gradients(case: str, made: MoEFFN) -> dict[str, Tensor]:
    """Of every weight that has one, under its official name."""
    found: dict[str, Tensor | None] = {}
    if isinstance(made.router, LinearRouter):
        found["gate.gate_network.weight"] = made.router.weight.grad
    elif isinstance(made.router, MLPRouter):
        found["gate.gate_network.0.weight"] = made.router.hidden.grad
        found["gate.gate_network.2.weight"] = made.router.output.grad
    if made.router.noise is not None:
        found["gate.weight_noise.weight"] = made.router.noise.grad
    assert made.experts.gate_up.grad is not None and made.experts.down.grad is not None
    for expert, size in enumerate(made.experts.sizes):
        gate, up = made.experts.gate_up.grad[expert].chunk(2)
        parts = (gate[:size], up[:size], made.experts.down.grad[expert][:, :size])
        for part, gradient in zip(PARTS, parts, strict=True):
            found[f"calculator.experts.weight_{part}.{expert}"] = gradient
    return {name: gradient for name, gradient in found.items() if gradient is not None}


@pytest.fixture(params=["eval", "train"])
def mode(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.mark.parametrize("case", CASES)
def test_layer(case: str, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Choice, weights, output, balance loss, load, and the gradients of the input and of all weights."""
    monkeypatch.setattr(torch, "randn_like", lambda logits: ORACLE[f"{case}.noise"])
    made, recorded = layer(case).train(mode == "train"), ORACLE.below(f"{case}.{mode}.")
    x = ORACLE[f"{case}.x"].requires_grad_()
    routing = made.router(x)
    assert torch.equal(routing.index, recorded["indices"])
    assert difference(routing.weight / made.scale, recorded["scores"]) < FORWARD
    assert difference(importance(routing) / made.scale, recorded["importance"]) < FORWARD
    assert difference(smooth_load(routing, faithful=True), recorded["load"]) < FORWARD
    y = made(x)
    assert difference(y, recorded["y"]) < FORWARD
    loss = (y * ORACLE[f"{case}.cotangent"]).sum()
    if mode == "train":
        assert made.aux is not None
        assert difference(made.aux[None], recorded["balance_loss"]) < FORWARD
        loss = loss + BALANCE * made.aux
    loss.backward()
    assert x.grad is not None
    found = {"x": x.grad} | gradients(case, made)
    wanted = {name.removeprefix("grad."): tensor for name, tensor in recorded.items() if name.startswith("grad.")}
    compared = [name for name, gradient in wanted.items() if gradient.any()]
    assert set(compared) >= {"x"} | {
        f"calculator.experts.weight_down.{e}" for e in recorded["indices"].unique().tolist()
    }
    for name in wanted:
        if name in compared:
            assert difference(found[name], wanted[name]) < BACKWARD, name
        else:
            assert not found[name].any(), name


@pytest.mark.parametrize("case", SETTINGS)
def test_the_bank(case: str, mode: str) -> None:
    """The experts alone, at the recorded choice and weights."""
    weight = ORACLE[f"{case}.{mode}.scores"] * SETTINGS[case]["score_scale_factor"]
    y = bank(case)(ORACLE[f"{case}.x"], ORACLE[f"{case}.{mode}.indices"], weight)
    assert difference(y, ORACLE[f"{case}.{mode}.y"]) < FORWARD


def test_the_choice_among_raw_logits() -> None:
    """Without the softmax the release weighs by the logits; they and the choice are those of our gate."""
    case = "2of8_nosoftmax"
    routing = router(case, configuration(case)).eval()(ORACLE[f"{case}.x"])
    assert torch.equal(routing.index, ORACLE[f"{case}.eval.indices"])
    assert difference(routing.logits.gather(1, routing.index), ORACLE[f"{case}.eval.scores"]) < FORWARD


def test_the_corrected_load_is_another() -> None:
    """What the release does to the load (faithful mode) is not within rounding of the formula of the paper."""
    case = "2of8"
    made = router(case, configuration(case)).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        routing = made(ORACLE[f"{case}.x"])
    ours, theirs = smooth_load(routing), smooth_load(routing, faithful=True)
    assert difference(theirs, ours) > 1000 * FORWARD


@pytest.mark.parametrize("part", ["gate_up", "down", "router"])
def test_a_changed_weight_is_seen(part: str) -> None:
    case = "2of8"
    made = layer(case).eval()
    weight = made.router.output if part == "router" else getattr(made.experts, part)
    with torch.no_grad():
        weight.mul_(1.001)
        assert difference(made(ORACLE[f"{case}.x"]), ORACLE[f"{case}.eval.y"]) > 10 * FORWARD
