"""SmolLM2 as a mixture without some of its layers, attentions or blocks: prefill and decoding beside the whole one.

What is predicted: a prefill gets faster as its operations get fewer, decoding at batch 1 as the bytes of the weights
that work on a token do (the cache of 40 tokens is small beside them). A removal that leaves anything of what it took
out (a norm, a router, a copy) does not reach that. Two threads, wall clock, all variants in turn, round by round.
"""

import copy
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from sparsebench.data.weights import smollm2
from sparsebench.models.compression.trimming import choose, drop_attentions, drop_blocks, drop_layers
from sparsebench.models.counting import count_parameters, flops
from sparsebench.models.moe import MoEConfig, convert

from .rounds import ReplayClock, in_turn, threads
from .scope import FULL

CLOCK = ReplayClock()
pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not FULL, reason="takes minutes: sparsebench speed --full runs it"),
    pytest.mark.benchmark(timer=CLOCK),
    pytest.mark.timeout(1800),
]
PROMPT, NEW, ROUNDS, THREADS = 512, 32, 9, 2
GONE, LAYERS = 8, 30
WHOLE = "all 30 layers"
DROPS: dict[str, Callable[[nn.Module, tuple[int, ...]], object]] = {
    f"{GONE} mixtures dropped": drop_layers,
    f"{GONE} attentions dropped": drop_attentions,
    f"{GONE} blocks dropped": drop_blocks,
}
VARIANTS = (WHOLE, *DROPS)
REACHED = 0.9
"""Of the predicted speed-up, what has to be measured."""


class Timed(NamedTuple):
    """Seconds of each round, and what should make them fewer: operations, or bytes of weights for a token."""

    seconds: list[float]
    work: int

    @property
    def median(self) -> float:
        return median(self.seconds)


def prompt(length: int) -> Tensor:
    return torch.randint(100, 40_000, (1, length), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def models(request: pytest.FixtureRequest) -> dict[str, nn.Module]:
    """FFNs cut into 8 experts, 2 for a token; which layers go does not matter to the clock: every third or so."""
    model = AutoModelForCausalLM.from_pretrained(smollm2(), dtype=request.param).eval()
    convert(model, MoEConfig(num_experts=8, top_k=2))
    gone = choose(range(LAYERS), GONE, choice="random", generator=torch.Generator().manual_seed(0))
    found: dict[str, nn.Module] = {WHOLE: model}
    for name, drop in DROPS.items():
        found[name] = copy.deepcopy(model)
        drop(found[name], gone)
    return found


def decode(model: Any) -> Tensor:
    return model.generate(prompt(8), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, pad_token_id=0)


@pytest.fixture(scope="module")
def timed(models: dict[str, nn.Module]) -> dict[str, dict[str, Timed]]:
    """By work and variant."""
    ids = prompt(PROMPT)
    calls: dict[str, dict[str, Callable[[], object]]] = {"prefill": {}, "decode": {}}
    for name, model in models.items():
        calls["prefill"][name] = lambda model=model: model(ids, use_cache=False)
        calls["decode"][name] = lambda model=model: decode(model)
    found: dict[str, dict[str, Timed]] = {}
    with threads(THREADS), torch.no_grad():
        for work, variants in calls.items():
            seconds = in_turn(variants, ROUNDS)
            found[work] = {name: Timed(seconds[name], _size(models[name], work, ids)) for name in variants}
    return found


def _size(model: nn.Module, work: str, ids: Tensor) -> int:
    if work == "prefill":
        return flops(model, ids, use_cache=False)
    return count_parameters(model).active * next(model.parameters()).element_size()


@pytest.mark.parametrize("work", ["prefill", "decode"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_dropped_takes_no_time(
    variant: str,
    work: str,
    models: dict[str, nn.Module],
    timed: dict[str, dict[str, Timed]],
    benchmark: Any,
    target: Any,
) -> None:
    whole, found = timed[work][WHOLE], timed[work][variant]
    predicted = whole.work / found.work
    measured = whole.median / found.median
    dtype = str(next(models[variant].parameters()).dtype).removeprefix("torch.")
    tokens = PROMPT if work == "prefill" else NEW
    benchmark.group = f"SmolLM2 as a mixture, 2 of 8 experts, {work} of {tokens} tokens, batch 1, {dtype}"
    benchmark.extra_info.update(
        role="peer" if variant == WHOLE else "ours",
        variant=variant,
        dtype=dtype,
        tokens_per_second=tokens / found.median,
        speed_up=measured,
        predicted=predicted,
        parameters=sum(parameter.numel() for parameter in models[variant].parameters()),
        threads=THREADS,
        clock="wall",
    )
    benchmark.pedantic(CLOCK.replay(found.seconds), rounds=len(found.seconds), iterations=1)
    if variant != WHOLE:
        target("times as fast as the whole model", measured, at_least=REACHED * predicted)
