"""Quantised experts beside those in bfloat16 and beside the products of other libraries. Two threads, wall clock.

A layer at one token reads its experts from memory: each call has others than the call before, 200 MB in all. At 256
rows for each expert the products decide. The floors are what this machine forbids: reading the bytes of the weights at
the rate of a plain sum, and the products at the rate of oneDNN's product of bytes, both taken in the same run. A
figure that is not reached is excused within reach of its floor.
"""

from statistics import median
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from .expert_products import GRIDS, Layer, layers, product_rate, read_rate
from .rounds import ReplayClock, in_turn, threads
from .scope import FULL

CLOCK = ReplayClock()
pytestmark = [pytest.mark.benchmark(timer=CLOCK), pytest.mark.timeout(1800)]
THREADS = 2
ROUNDS = 9 if FULL else 3
EXPERTS, WIDTH, HIDDEN = 16, 1024, 2048
ROWS = 256
WANTED = {"one token": 2.0, "256 rows an expert": 1.5}
"""How many times as fast as the faster of the two in bfloat16."""
NEAR_FLOOR = 1.5
"""A figure that is not reached must not take longer than this many times its floor."""
ERROR = {"8 bits": 0.03, "4 bits": 0.25}
"""Largest relative error of a layer beside bfloat16, random weights: nearly all of it is that of the weights."""


class Work(NamedTuple):
    """What a call does: tokens with their experts and weights, one after the other; seconds are for each of them."""

    tokens: list[tuple[Tensor, Tensor, Tensor]]
    multiplications: int
    experts_read: int


def work() -> dict[str, Work]:
    generator = torch.Generator().manual_seed(0)
    one = []
    for first in range(0, EXPERTS, 2):
        x = torch.randn(1, WIDTH, generator=generator).bfloat16()
        one.append((x, torch.tensor([[first, first + 1]]), torch.rand(1, 2, generator=generator)))
    few = 4
    x = torch.randn(ROWS * few // 2, WIDTH, generator=generator).bfloat16()
    index = torch.arange(len(x))[:, None] % few
    many = [(x, torch.cat((index, (index + 1) % few), 1), torch.rand(len(x), 2, generator=generator))]
    size = 3 * WIDTH * HIDDEN
    return {"one token": Work(one, 2 * size, 2), "256 rows an expert": Work(many, ROWS * few * size, few)}


@pytest.fixture(scope="module")
def made() -> dict[str, Layer]:
    generator = torch.Generator().manual_seed(1)
    gate_up = torch.randn(EXPERTS, 2 * HIDDEN, WIDTH, generator=generator).mul_(WIDTH**-0.5).bfloat16()
    down = torch.randn(EXPERTS, WIDTH, HIDDEN, generator=generator).mul_(HIDDEN**-0.5).bfloat16()
    return layers(gate_up, down)


@pytest.fixture(scope="module")
def timed(made: dict[str, Layer]) -> dict[str, dict[str, list[float]]]:
    """Seconds of each round, by work and way."""
    found = {}
    with threads(THREADS), torch.inference_mode():
        for name, task in work().items():
            calls = {way: lambda layer=layer, task=task: _all(layer, task) for way, layer in made.items()}
            seconds = in_turn(calls, ROUNDS)
            found[name] = {way: [s / len(task.tokens) for s in taken] for way, taken in seconds.items()}
            found[name]["floor"] = [_floor(task)]
    return found


def _all(layer: Layer, task: Work) -> list[Tensor]:
    return [layer(*token) for token in task.tokens]


def _floor(task: Work) -> float:
    """Seconds that the bytes of 8-bit weights, or the products of bytes, take at the least."""
    reading = task.experts_read * 3 * WIDTH * HIDDEN / read_rate()
    return max(reading, task.multiplications / product_rate(ROWS, WIDTH, 2 * HIDDEN))


WAYS = (
    "bfloat16, our kernels",
    "bfloat16, oneDNN",
    "8 bits, our kernels",
    "4 bits, our kernels",
    "8 bits of weights alone, torch",
    "8 bits, oneDNN",
    "8 bits, FBGEMM",
    "8 bits, torchao",
)


@pytest.mark.parametrize("name", WANTED)
@pytest.mark.parametrize("way", WAYS)
def test_a_layer(
    way: str,
    name: str,
    made: dict[str, Layer],
    timed: dict[str, dict[str, Any]],
    benchmark: Any,
    target: Any,
) -> None:
    if way not in made:
        pytest.skip(f"{way} is a library that is not here: pip install {way.split()[-1]}")
    seconds = timed[name]
    bf16 = min(median(seconds[f"bfloat16, {whose}"]) for whose in ("our kernels", "oneDNN"))
    floor = seconds["floor"][0]
    taken = median(seconds[way])
    task = work()[name]
    error = max(_error(made[way], made["bfloat16, oneDNN"], token) for token in task.tokens)
    ours = way.endswith("our kernels") and not way.startswith("bfloat16")
    benchmark.group = f"{EXPERTS} experts {WIDTH} x {HIDDEN}, {name}"
    benchmark.extra_info.update(
        role="ours" if ours else "peer",
        variant=way,
        speed_up=bf16 / taken,
        floor_seconds=floor,
        error=error,
        threads=THREADS,
        clock="wall",
    )
    benchmark.pedantic(CLOCK.replay(seconds[way]), rounds=len(seconds[way]), iterations=1)
    if ours:
        bits = way[: len("8 bits")]
        assert bits in GRIDS and error < ERROR[bits]
    if ours and (bits == "8 bits" or name == "one token"):
        excuse = f"takes {taken / floor:.2f} times its floor" if taken <= NEAR_FLOOR * floor else None
        target("times as fast as bfloat16", bf16 / taken, at_least=WANTED[name], excuse=excuse)


@torch.inference_mode()
def _error(layer: Layer, reference: Layer, token: tuple[Tensor, Tensor, Tensor]) -> float:
    wanted = reference(*token).float()
    return float((layer(*token).float() - wanted).norm() / wanted.norm())
