"""Quantised experts beside those in bfloat16 and beside the products of other libraries. Two threads, wall clock.

A layer at one token reads its experts. Cold ones: each token has others than the one before, and what all variants
read before the same weights come again is more than the last cache holds, or else the JSON says so. Warm ones: the
same token again and again. At 256 rows for each expert the products decide. The floors are what this machine forbids:
reading the bytes of the weights at the rate of a plain sum, and the products at the rate of oneDNN's product of bytes,
or of bfloat16, all taken in the same run. A figure that is not reached is excused within reach of its floor.
"""

from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor

from .cold import Copies, last_cache, through
from .expert_products import GRIDS, Layer, layers
from .floors import least_seconds, product_rate, product_rate_of_bytes
from .groups import Timed, Variant
from .rounds import WALL

pytestmark = pytest.mark.timeout(1800)
THREADS = 2
EXPERTS, WIDTH, HIDDEN = 16, 1024, 2048
SIZE = 3 * WIDTH * HIDDEN
"""Weights of one expert."""
ROWS = 256
COLD, WARM, MANY = "one token, cold weights", "one token, warm weights", "256 rows an expert"
WANTED = {COLD: 2.0, MANY: 1.5}
"""How many times as fast as the faster of the two in bfloat16."""
NEAR_FLOOR = 1.5
"""A figure that is not reached must not take longer than this many times its floor."""
ERROR = {"8 bits": 0.03, "4 bits": 0.25}
"""Largest relative error of a layer beside bfloat16, random weights: nearly all of it is that of the weights."""
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
BYTES = {"bfloat16": 2.0, "8 bits": 1.0, "4 bits": 0.5}
"""Of a weight, by how the name of a way begins; scales are few beside them."""
Token = tuple[Tensor, Tensor, Tensor]


class Work(NamedTuple):
    """Tokens with their experts and weights, and what each of them needs: weights to read and to multiply with."""

    tokens: list[Token]
    weights: int
    products: int


def work(name: str) -> Work:
    generator = torch.Generator().manual_seed(0)
    if name == MANY:
        few = 4
        x = torch.randn(ROWS * few // 2, WIDTH, generator=generator).bfloat16()
        index = torch.arange(len(x))[:, None] % few
        many = x, torch.cat((index, (index + 1) % few), 1), torch.rand(len(x), 2, generator=generator)
        return Work([many], few * SIZE, ROWS * few * SIZE)
    one = []
    for first in range(0, EXPERTS, 2):
        x = torch.randn(1, WIDTH, generator=generator).bfloat16()
        one.append((x, torch.tensor([[first, first + 1]]), torch.rand(1, 2, generator=generator)))
    return Work(one if name == COLD else one[:1], 2 * SIZE, 2 * SIZE)


@pytest.fixture(scope="module")
def made() -> dict[str, Layer]:
    generator = torch.Generator().manual_seed(1)
    gate_up = torch.randn(EXPERTS, 2 * HIDDEN, WIDTH, generator=generator).mul_(WIDTH**-0.5).bfloat16()
    down = torch.randn(EXPERTS, WIDTH, HIDDEN, generator=generator).mul_(HIDDEN**-0.5).bfloat16()
    return layers(gate_up, down)


def bytes_of(way: str) -> float:
    """Of one weight."""
    return next(size for begin, size in BYTES.items() if way.startswith(begin))


def bytes_between(made: dict[str, Layer]) -> int:
    """Of weights that all ways together read before one of them reads the same ones again."""
    return int(sum(map(bytes_of, made)) * EXPERTS * SIZE)


def is_ours(way: str) -> bool:
    return way.endswith("our kernels") and not way.startswith("bfloat16")


@pytest.mark.parametrize("name", [COLD, WARM, MANY])
@pytest.mark.parametrize("way", WAYS)
@torch.inference_mode()
def test_a_layer(way: str, name: str, made: dict[str, Layer], compare: Any, target: Any) -> None:
    group = f"{EXPERTS} experts {WIDTH} x {HIDDEN}, {name}"
    facts: dict[str, object] = {}
    if name == COLD:
        facts = Copies(1, bytes_between(made), last_cache()).facts
    timed: Timed = compare(
        way, WAYS, lambda way: layer_of(way, name, made), group=group, clock=WALL, count=THREADS, **facts
    )
    if not is_ours(way):
        return
    bits = way[: len("8 bits")]
    found: Any = timed.known[way]
    assert bits in GRIDS and found["error"] < ERROR[bits]
    if name in WANTED and (bits == "8 bits" or name == COLD):
        taken = timed.median(way)
        bf16 = min(timed.median(f"bfloat16, {whose}") for whose in ("our kernels", "oneDNN"))
        over_floor = taken / found["floor_seconds"]
        excuse = f"takes {over_floor:.2f} times its floor" if over_floor <= NEAR_FLOOR else None
        target("times as fast as bfloat16", bf16 / taken, at_least=WANTED[name], excuse=excuse)


def layer_of(way: str, name: str, made: dict[str, Layer]) -> Variant:
    if way not in made:
        pytest.skip(f"{way} is a library that is not here: pip install {way.split()[-1]}")
    task = work(name)
    layer = made[way]
    calls = [lambda token=token: layer(*token) for token in task.tokens]
    facts = {
        "error": max(_error(layer, made["bfloat16, oneDNN"], token) for token in task.tokens),
        "floor_seconds": floor_seconds(way, task, bytes_between(made) if name == COLD else None),
        "rows": len(task.tokens[0][0]),
    }
    parts = len(calls)
    return Variant(call=through(calls), role="ours" if is_ours(way) else "peer", facts=facts, parts=parts)


def floor_seconds(way: str, task: Work, span: int | None) -> float:
    """Of one token, or of all rows."""
    threads = torch.get_num_threads()
    rate = product_rate_of_bytes(ROWS, WIDTH, 2 * HIDDEN, threads)
    if way.startswith("bfloat16"):
        rate = product_rate(torch.bfloat16, threads)
    return least_seconds(2 * task.products, rate, int(bytes_of(way) * task.weights), span)


def _error(layer: Layer, reference: Layer, token: Token) -> float:
    wanted = reference(*token).float()
    return float((layer(*token).float() - wanted).norm() / wanted.norm())
