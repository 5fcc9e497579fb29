"""Whole training steps of SmolLM2: dense, as a mixture with 25 % of its FFN neurons active, and that as stock Mixtral.

A step is that of the suites' loop: loss with balance loss, backward, clipping, AdamW on all weights, which are float32;
"bfloat16" is autocast, as the loop has it. Two threads, wall clock, all variants in turn, round by round. The learning
rate is next to nothing: no weight moves, and the routes stay.

- The floor is a dense model with the active neurons alone: no routing, and fewer weights to update. No mixture of that
  size can be faster.
- A step without FFNs is there as a reference: 1 minus its share of the dense step is what a mixture can save at all.
- Not among the stock experts: batched_mm, which copies its experts' weights for each token, 5 GB a layer here.
- "Next batch" is what the loader does for a step: the order of the data, and `collate`.

Six models with gradients and optimizer states lie in memory: about 16 GB.
"""

from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import pytest
import torch
from torch import nn

from sparsebench.models.counting import training_flops
from sparsebench.models.moe.experts.interface import NAME
from sparsebench.suites.llm.training.isolation import language_loss
from sparsebench.suites.training.data_order import MapOrder
from sparsebench.suites.training.machine.freed_memory import freed_memory_kept
from sparsebench.suites.training.processes import Processes
from sparsebench.suites.training.settings import TrainSettings
from sparsebench.suites.training.step import Stepper

from . import training_steps
from .rounds import ReplayClock, in_turn, threads
from .scope import FULL
from .training_steps import EXPERTS, LENGTH, TOP_K

CLOCK = ReplayClock()
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FULL, reason="takes many minutes: sparsebench speed --full runs it"),
    pytest.mark.benchmark(timer=CLOCK),
    pytest.mark.timeout(3600),
]
ROWS = 4
ROUNDS = 5
THREADS = 2
BATCHES = 16  # of a pass over the data of the loader
MIXTURE = f"{TOP_K} of {EXPERTS} experts"
STOCK = "transformers' Mixtral, "
FLOOR = "dense, active neurons alone"
ROLES = {  # in the group with the dense model, in the group with stock Mixtral
    "dense": ("peer", ""),
    f"mixture, {MIXTURE}": ("ours", "ours"),
    f"LLaMA-MoE v1, {MIXTURE}": ("ours", ""),
    f"{STOCK}eager experts": ("", "peer"),
    f"{STOCK}grouped_mm experts": ("", "peer"),
    f"{STOCK}{NAME} experts": ("", "ours"),
    "dense without FFNs": ("reference", ""),
    FLOOR: ("floor", "floor"),
    "next batch, windows": ("reference", ""),
    "next batch, packed rows": ("reference", ""),
}
LOADER_SHARE = 0.05
"""Most of a step that making its batch may take."""


class Facts(NamedTuple):
    """The loss of the text before the first step, parameters, operations of a step; None where there is no model."""

    loss: float | None
    parameters: int | None
    flops: int | None


class Timed(NamedTuple):
    """Seconds of each round, and what was timed."""

    seconds: list[float]
    facts: Facts


NO_MODEL = Facts(None, None, None)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, nn.Module]:
    """One of each; the experts implementations of stock Mixtral share theirs."""
    return {
        "dense": training_steps.dense(),
        f"mixture, {MIXTURE}": training_steps.linear(),
        f"LLaMA-MoE v1, {MIXTURE}": training_steps.llama_moe_v1(),
        STOCK: training_steps.mixtral(tmp_path_factory.mktemp("stock")),
        "dense without FFNs": training_steps.no_ffn(),
        FLOOR: training_steps.active_size(),
    }


@pytest.fixture(scope="module")
def operations(models: dict[str, nn.Module]) -> dict[str, int]:
    """Of a step on the whole batch: those of one row for each of its rows."""
    data = training_steps.rows(1, packed=False)
    batch = data.collate(data.train)
    found = {}
    for name, model in models.items():
        loss = partial(training_steps.method_loss, model.train(), batch)
        found[name] = ROWS * training_flops(loss)
        model.zero_grad()
    return found


@pytest.fixture(scope="module", params=["float32", "bfloat16"])
def precision(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def timed(precision: str, models: dict[str, nn.Module], operations: dict[str, int]) -> dict[str, Timed]:
    """All variants, in turn."""
    data = training_steps.rows(ROWS, packed=False)
    batch = data.collate(data.train)
    calls: dict[str, Callable[[], object]] = {}
    facts: dict[str, Facts] = {}
    for name, model in models.items():
        model.train()
        taker = training_steps.stepper(model, precision)
        for variant in ROLES:
            if variant != name and not (name == STOCK and variant.startswith(STOCK)):
                continue
            calls[variant] = _with_experts(model, variant, training_steps.step(taker, batch))
            parameters = sum(parameter.numel() for parameter in model.parameters())
            facts[variant] = Facts(_loss(model, variant, taker, batch), parameters, operations[name])
    for packed in (False, True):
        calls[f"next batch, {'packed rows' if packed else 'windows'}"] = next_batch(packed)
    with threads(THREADS), freed_memory_kept():  # as in the loop
        seconds = in_turn(calls, ROUNDS)
    return {name: Timed(seconds[name], facts.get(name, NO_MODEL)) for name in calls}


def _with_experts(model: Any, variant: str, call: Callable[[], object]) -> Callable[[], object]:
    """The call, after stock Mixtral was given the experts implementation of that name."""
    if not variant.startswith(STOCK):
        return call

    def called() -> object:
        _set_experts(model, variant)
        return call()

    return called


def _set_experts(model: Any, variant: str) -> None:
    if variant.startswith(STOCK):
        model.set_experts_implementation(variant.removeprefix(STOCK).removesuffix(" experts"))


def _loss(model: nn.Module, variant: str, taker: Stepper, batch: Any) -> float:
    """Loss of the text; with gradients, since experts are computed in other ways without them."""
    _set_experts(model, variant)
    with taker.autocast():
        return language_loss(model, batch).item()


def next_batch(packed: bool) -> Callable[[], object]:
    """The loader: the next batch of the order, over the data again and again."""
    data = training_steps.rows(BATCHES * ROWS, packed)
    order = MapOrder(data, TrainSettings(steps=1, batch_size=ROWS), Processes(torch.device("cpu")))

    def call() -> object:
        drawn = order.take(1)
        if not drawn:
            order.end_epoch()
            drawn = order.take(1)
        return drawn

    return call


@pytest.mark.parametrize("beside", ["dense", "Mixtral"])
@pytest.mark.parametrize("variant", ROLES)
def test_training(
    variant: str, beside: str, precision: str, timed: dict[str, Timed], benchmark: Any, target: Any
) -> None:
    role = ROLES[variant][beside == "Mixtral"]
    if not role:
        pytest.skip("stands in the other group")
    found = timed[variant]
    tokens = ROWS * LENGTH
    other = "the dense model" if beside == "dense" else "stock Mixtral"
    benchmark.group = f"training step of SmolLM2, {ROWS} x {LENGTH} tokens, {precision}, beside {other}"
    benchmark.extra_info.update(
        role=role,
        variant=variant,
        dtype=precision,
        rows=tokens,
        tokens_per_second=tokens / median(found.seconds),
        threads=THREADS,
        clock="wall",
        **found.facts._asdict(),
    )
    benchmark.pedantic(CLOCK.replay(found.seconds), rounds=len(found.seconds), iterations=1)
    if variant.startswith("next batch"):
        fraction = max(found.seconds) / min(timed[FLOOR].seconds)
        target("fraction of a step", fraction, at_most=LOADER_SHARE)


def test_losses(timed: dict[str, Timed], models: dict[str, nn.Module]) -> None:
    """Stock Mixtral and our mixture are the same function, whose loss in float32 is the exact one.

    In bfloat16, rounding sends some tokens to other experts, and a mixture that was never trained makes much of that
    (of stock experts, those whose products stay in float32 end further off than those in bfloat16): ours may be as far
    from the exact loss as stock experts are. How little bfloat16 costs a training says
    `tests/suites/llm/methods/test_language_training.py`.
    """
    data = training_steps.rows(ROWS, packed=False)
    with torch.no_grad():
        exact = language_loss(models[f"mixture, {MIXTURE}"], data.collate(data.train)).item()
    distance = {}
    for name, found in timed.items():
        if found.facts.loss is not None:
            distance[name] = abs(found.facts.loss - exact)
    noise = max(distance[name] for name in distance if ROLES[name][1] == "peer")
    for name in distance:
        if ROLES[name][1] == "ours":
            assert distance[name] <= 1.5 * noise + 1e-3 * exact, name
