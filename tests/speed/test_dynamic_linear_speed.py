"""A partially dynamic linear layer against the plain mixture, the released form and the static layer, in turn.

768 -> 3072, 8 experts, top-2, a share of 0.3 of the output rows dynamic. The floor is that share's work: 0.7 + 2 * 0.3
= 1.3 times the static layer's product, against 2 for the plain mixture; what comes on top is sorting tokens, putting
rows in their places and the gate. A mask of single entries has no such floor: it multiplies as often as the plain
mixture and makes each expert's weight first, so that it is slower than that, and the row says so.
"""

import statistics
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import linear_view
from sparsebench.models.dynamic.linear.config import MixtureConfig
from sparsebench.models.dynamic.linear.mixture import MixtureLinear

from .rounds import ReplayClock, in_turn
from .scope import FULL

CLOCK = ReplayClock()
INPUTS, OUTPUTS, EXPERTS, TOP_K, RATIO = 768, 3072, 8, 2, 0.3
ROUNDS = 25 if FULL else 7
TOKENS = (256, 2048) if FULL else (256,)
FASTER_THAN_MIXTURE = 1.15
FASTER_THAN_RELEASE = {256: 2.5, 2048: 1.5}
"""By tokens: with many, products that both have to make are most of the time."""
TRAINS_AS_FAST_AS_MIXTURE = 0.95


def masks() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randperm(OUTPUTS, generator=generator) < round(RATIO * OUTPUTS)
    entries = torch.rand(OUTPUTS, INPUTS, generator=generator) < RATIO
    return {"rows": rows[:, None].expand(OUTPUTS, INPUTS), "entries": entries}


def mixture(linear: nn.Linear, mask: Tensor | None) -> Any:
    config = MixtureConfig(num_kernels=EXPERTS, top_k=TOP_K, noise=0.5, gate_noise="none")
    layer: Any = MixtureLinear.of(linear_view(linear), config, torch.Generator().manual_seed(0)).eval()
    if mask is not None:
        layer.set_partition(mask, linear.weight)
        layer.partition.phi.data.fill_(0.3)
    return layer


def released(layer: Any, x_TI: Tensor) -> Tensor:
    """The released SingleExpert_Pad: every expert makes its masked weight anew, the static part for each (its formula,
    dispatch and loop over experts; not its code)."""
    partition = layer.partition
    mask = partition.mask.to(x_TI.dtype)
    routing = layer.router(x_TI)
    gates_TE = torch.zeros(len(x_TI), EXPERTS).scatter(1, routing.index, routing.weight)
    y_TO = x_TI.new_zeros(len(x_TI), OUTPUTS)
    for expert in range(EXPERTS):
        token_R = gates_TE[:, expert].nonzero()[:, 0]
        dynamic = layer.bank[expert] * mask * partition.lambda_dynamic
        weight = dynamic + partition.static * (1 - mask) * partition.lambda_static
        part_RO = F.linear(x_TI[token_R], weight, layer.bias[expert])
        y_TO = y_TO.index_add(0, token_R, part_RO * gates_TE[token_R, expert, None])
    return y_TO


def layers() -> tuple[nn.Linear, dict[str, Any]]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        linear = nn.Linear(INPUTS, OUTPUTS)
    made = {"mixture": mixture(linear, None)}
    for name, mask in masks().items():
        made[name] = mixture(linear, mask)
    return linear, made


def ratios(slow: list[float], fast: list[float]) -> float:
    return statistics.median(one / other for one, other in zip(slow, fast, strict=True))


def note(benchmark: Any, group: str, seconds: dict[str, list[float]], **facts: object) -> None:
    benchmark.group = group
    medians = {f"{name}_seconds": statistics.median(taken) for name, taken in seconds.items()}
    benchmark.extra_info.update(
        role="ours", clock="wall clock, calls in turn", threads=torch.get_num_threads(), **medians, **facts
    )
    benchmark.pedantic(CLOCK.replay(seconds["rows"]), rounds=ROUNDS, iterations=1)


@torch.no_grad()
@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("tokens", TOKENS)
def test_dynamic_rows_are_faster_than_the_plain_mixture(tokens: int, benchmark: Any, target: Any) -> None:
    linear, made = layers()
    x_TI = torch.randn(tokens, INPUTS, generator=torch.Generator().manual_seed(1))
    for name in ("rows", "entries"):
        torch.testing.assert_close(made[name](x_TI), released(made[name], x_TI), atol=1e-4, rtol=1e-4)
    calls: dict[str, Callable[[], object]] = {
        "static": lambda: linear(x_TI),
        "mixture": lambda: made["mixture"](x_TI),
        "rows": lambda: made["rows"](x_TI),
        "entries": lambda: made["entries"](x_TI),
        "released": lambda: released(made["rows"], x_TI),
    }
    seconds = in_turn(calls, ROUNDS)
    over_mixture = ratios(seconds["mixture"], seconds["rows"])
    over_release = ratios(seconds["released"], seconds["rows"])
    note(
        benchmark,
        f"linear mixture 768 -> 3072, 8 top-2, {tokens} tokens, forward",
        seconds,
        faster_than_mixture=over_mixture,
        faster_than_release=over_release,
        times_static=ratios(seconds["rows"], seconds["static"]),
        entries_times_mixture=ratios(seconds["entries"], seconds["mixture"]),
        floor_times_static=1 - RATIO + TOP_K * RATIO,
    )
    target("times as fast as the plain mixture", over_mixture, at_least=FASTER_THAN_MIXTURE)
    target("times as fast as the release", over_release, at_least=FASTER_THAN_RELEASE[tokens])


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize("tokens", TOKENS)
def test_training_with_dynamic_rows_costs_no_more_than_the_mixture(tokens: int, benchmark: Any, target: Any) -> None:
    """Forward and backward pass. Both write gradients of all experts; that is most of the time of few tokens."""
    linear, made = layers()
    x_TI = torch.randn(tokens, INPUTS, generator=torch.Generator().manual_seed(1)).requires_grad_()
    upstream = torch.randn(tokens, OUTPUTS, generator=torch.Generator().manual_seed(2))

    def step(layer: Callable[[Tensor], Tensor], weights: nn.Module) -> Callable[[], object]:
        leaves = [x_TI, *(parameter for parameter in weights.parameters())]
        return lambda: torch.autograd.grad(layer(x_TI), leaves, upstream, allow_unused=True)

    calls = {"static": step(linear, linear)}
    for name, layer in made.items():
        calls[name] = step(layer, layer)
    partitioned = made["rows"]
    calls["released"] = step(lambda x: released(partitioned, x), partitioned)
    seconds = in_turn(calls, ROUNDS)
    over_mixture = ratios(seconds["mixture"], seconds["rows"])
    note(
        benchmark,
        f"linear mixture 768 -> 3072, 8 top-2, {tokens} tokens, forward and backward",
        seconds,
        faster_than_mixture=over_mixture,
        faster_than_release=ratios(seconds["released"], seconds["rows"]),
        times_static=ratios(seconds["rows"], seconds["static"]),
    )
    target("times as fast as the plain mixture, training", over_mixture, at_least=TRAINS_AS_FAST_AS_MIXTURE)
