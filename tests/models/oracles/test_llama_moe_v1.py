"""The gate, the experts and the balance loss of LLaMA-MoE v1 against what its official code computed."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe import preset
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.balance import smooth_load
from sparsebench.models.moe.routing.counts import importance

from ..agreement import agree
from .llama_moe_models import v1_bank, v1_gradients, v1_layer, v1_router
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


def weights(case: str) -> dict[str, Tensor]:
    return ORACLE.below(f"{case}.weights.")


def layer(case: str) -> MoEFFN:
    return v1_layer(weights(case), configuration(case), SETTINGS[case]["size_experts"])


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
    agree(routing.index, recorded["indices"], "choices")
    agree(routing.weight / made.scale, recorded["scores"], "scores", within=FORWARD)
    agree(importance(routing) / made.scale, recorded["importance"], "load", within=FORWARD)
    agree(smooth_load(routing, faithful=True), recorded["load"], "load", within=FORWARD)
    y = made(x)
    agree(y, recorded["y"], "outputs", within=FORWARD)
    loss = (y * ORACLE[f"{case}.cotangent"]).sum()
    if mode == "train":
        assert made.aux is not None
        agree(made.aux[None], recorded["balance_loss"], "losses", within=FORWARD)
        loss = loss + BALANCE * made.aux
    loss.backward()
    assert x.grad is not None
    found = {"x": x.grad} | v1_gradients(made)
    wanted = {name.removeprefix("grad."): tensor for name, tensor in recorded.items() if name.startswith("grad.")}
    compared = [name for name, gradient in wanted.items() if gradient.any()]
    assert set(compared) >= {"x"} | {
        f"calculator.experts.weight_down.{e}" for e in recorded["indices"].unique().tolist()
    }
    for name in wanted:
        if name in compared:
            agree(found[name], wanted[name], "gradients", within=BACKWARD, where=name)
        else:
            assert not found[name].any(), name


@pytest.mark.parametrize("case", SETTINGS)
def test_the_bank(case: str, mode: str) -> None:
    """The experts alone, at the recorded choice and weights."""
    weight = ORACLE[f"{case}.{mode}.scores"] * SETTINGS[case]["score_scale_factor"]
    y = v1_bank(weights(case), SETTINGS[case]["size_experts"])(
        ORACLE[f"{case}.x"], ORACLE[f"{case}.{mode}.indices"], weight
    )
    agree(y, ORACLE[f"{case}.{mode}.y"], "outputs", within=FORWARD)


def test_the_choice_among_raw_logits() -> None:
    """Without the softmax the release weighs by the logits; they and the choice are those of our gate."""
    case = "2of8_nosoftmax"
    routing = v1_router(weights(case), configuration(case)).eval()(ORACLE[f"{case}.x"])
    agree(routing.index, ORACLE[f"{case}.eval.indices"], "choices")
    agree(routing.logits.gather(1, routing.index), ORACLE[f"{case}.eval.scores"], "scores", within=FORWARD)


def test_the_corrected_load_is_another() -> None:
    """What the release does to the load (faithful mode) is not within rounding of the formula of the paper."""
    case = "2of8"
    made = v1_router(weights(case), configuration(case)).train()
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
