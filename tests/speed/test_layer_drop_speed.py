"""SmolLM2 as a mixture without some of its layers, attentions or blocks: prefill and decoding beside the whole one.

What is predicted: a prefill gets faster as its operations get fewer, decoding at batch 1 as the bytes of the weights
that work on a token do (the cache of 40 tokens is small beside them). A removal that leaves anything of what it took
out (a norm, a router, a copy) does not reach that. Two threads, wall clock.
All four models are in memory, 2.2 GB in float32.
"""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM

from sparsebench.data.weights import smollm2
from sparsebench.models.compression.trimming import choose, drop_attentions, drop_blocks, drop_layers
from sparsebench.models.counting import count_parameters, flops
from sparsebench.models.moe import MoEConfig, convert

from .groups import Timed, Variant
from .rounds import WALL
from .scope import LONG

pytestmark = [
    pytest.mark.data,
    LONG,
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


def size(model: nn.Module, work: str) -> int:
    """What should be less: operations of a prefill, or bytes of weights for a token."""
    if work == "prefill":
        return flops(model, prompt(PROMPT), use_cache=False)
    return count_parameters(model).active * next(model.parameters()).element_size()


@pytest.mark.parametrize("work", ["prefill", "decode"])
@pytest.mark.parametrize("name", VARIANTS)
@torch.no_grad()
def test_what_is_dropped_takes_no_time(
    name: str, work: str, models: dict[str, Any], compare: Callable[..., Timed], target: Any
) -> None:
    ids = prompt(PROMPT)
    dtype = str(models[WHOLE].dtype).removeprefix("torch.")
    tokens = PROMPT if work == "prefill" else NEW

    def variant(name: str) -> Variant:
        model = models[name]
        call = (lambda: model(ids, use_cache=False)) if work == "prefill" else (lambda: decode(model))
        parameters = sum(parameter.numel() for parameter in model.parameters())
        facts = {"work": size(model, work), "dtype": dtype, "rows": tokens, "parameters": parameters}
        return Variant(call=call, role="peer" if name == WHOLE else "ours", facts=facts)

    group = f"SmolLM2 as a mixture, 2 of 8 experts, {work} of {tokens} tokens, batch 1, {dtype}"
    timed = compare(name, VARIANTS, variant, group=group, clock=WALL, count=THREADS, rounds=ROUNDS)
    if name != WHOLE:
        predicted = size(models[WHOLE], work) / size(models[name], work)
        target("times as fast as the whole model", timed.times_as_fast(name, WHOLE), at_least=REACHED * predicted)
