"""Our MoE layer beside the stock experts of transformers, compiled ones too, LLaMA-MoE's loop and a dense FFN.

Two threads, wall clock, router included. By default one cell, with the compiled peer only where it is quick to compile
and fast (batched_mm for one token), and steps of 2048 tokens.

One token reads its experts: warm ones, the same in each call, or cold ones. For these, copies of a layer and tokens for
other experts take turns, and the least that all variants together read before the same weights come again is more than
the last cache holds, or what 1 GiB of copies comes to; the JSON says which.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.moe.experts.interface import NAME
from sparsebench.models.moe.layer import MoEFFN

from .cold import Copies, copies, through
from .floors import least_seconds, product_rate
from .groups import Timed, Variant, of_model
from .moe_targets import want_forward, want_step
from .moe_variants import CELLS, COMPILED, ROLES, Cell, make, several
from .rounds import WALL
from .scope import FULL

pytestmark = [
    # What the compiler says of transformers' own code.
    pytest.mark.filterwarnings("ignore:Dynamo detected a call"),
    pytest.mark.timeout(1800),
]
THREADS = min(2, os.cpu_count() or 1)
DTYPES = [torch.float32, torch.bfloat16]
RECOMPILED = 64
"""So often the compiler may compile a piece of code anew: no peer falls back to eager because others came first."""
FORWARD = [name for name in ROLES if "loop" not in name]
STEPS = [name for name in [*ROLES, "sparsebench, kept gradients"] if "batched" not in name]
cells = pytest.mark.parametrize("cell", CELLS if FULL else CELLS[1:2], ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "bfloat16"])


@pytest.fixture(autouse=True)
def new_compiler() -> None:
    torch.compiler.reset()
    torch._dynamo.config.recompile_limit = RECOMPILED


def why_not(name: str, cell: Cell, tokens: int, dtype: torch.dtype) -> str | None:
    """Why a variant is left out; None if it is not."""
    if name.endswith(COMPILED) and not FULL and (tokens > 1 or "batched_mm" not in name):
        return "compiling takes long: sparsebench speed --full runs it"
    if "batched_mm" in name and tokens > 1:
        return "batched_mm copies the weights of the chosen experts for each token"
    if "grouped_mm" in name and cell.hidden * dtype.itemsize % 16:
        return "grouped_mm refuses rows that are no multiple of 16 bytes"
    return None


def skip_what_cannot_be(name: str, cell: Cell, tokens: int, dtype: torch.dtype) -> None:
    reason = why_not(name, cell, tokens, dtype)
    if reason is not None:
        pytest.skip(reason)


@lru_cache(maxsize=1)
def reference(cell: Cell, dtype: torch.dtype) -> nn.Module:
    return make("transformers eager", cell, dtype).eval()


@torch.no_grad()
def check(name: str, module: nn.Module, cell: Cell, x: Tensor) -> None:
    """Relative error over the tokens that took the same route: the median over tokens, robust to a tie."""
    if ROLES.get(name) == "floor":
        return
    found = module(x).float()
    wanted = reference(cell, x.dtype)(x).float()
    error = ((found - wanted).norm(dim=1) / wanted.norm(dim=1)).median().item()
    assert error < (1e-5 if x.dtype == torch.float32 else 2e-2)


def random_tokens(count: int, cell: Cell, dtype: torch.dtype, seed: int = 0) -> Tensor:
    return torch.randn(count, cell.width, generator=torch.Generator().manual_seed(seed)).to(dtype)


@torch.no_grad()
def experts_of(x: Tensor, cell: Cell) -> int:
    """How many of them the tokens use."""
    _, _, index = reference(cell, x.dtype).block.gate(x)
    return len(index.unique())


def floor_seconds(cell: Cell, x: Tensor, span: int | None = None, passes: int = 1) -> float:
    """Of a forward pass; with a backward pass it is three of them."""
    rate = product_rate(x.dtype, torch.get_num_threads())
    size = cell.weights(experts_of(x, cell)) * x.dtype.itemsize
    return passes * least_seconds(cell.operations(len(x)), rate, size, span)


@cells
@dtypes
@pytest.mark.parametrize("tokens", [1, 64, 2048])
@pytest.mark.parametrize("name", FORWARD)
@torch.no_grad()
def test_moe_forward(
    name: str, tokens: int, dtype: torch.dtype, cell: Cell, compare: Callable[..., Timed], target: Callable[..., None]
) -> None:
    x = random_tokens(tokens, cell, dtype)

    def variant(name: str) -> Variant:
        skip_what_cannot_be(name, cell, tokens, dtype)
        layer = make(name, cell, dtype).eval()
        check(name, layer, cell, x)
        return of_model(lambda: layer(x), ROLES[name], layer, x, floor_seconds=floor_seconds(cell, x))

    weights = ", warm weights" if tokens == 1 else ""
    group = f"MoE forward, {cell}, {tokens} tokens, {str(dtype).removeprefix('torch.')}{weights}"
    timed = compare(name, FORWARD, variant, group=group, clock=WALL, count=THREADS)
    want_forward(name, timed, target, tokens, dtype)


@cells
@pytest.mark.parametrize("dtype", DTYPES if FULL else DTYPES[1:], ids=lambda dtype: str(dtype).removeprefix("torch."))
@pytest.mark.parametrize("name", FORWARD)
@torch.no_grad()
def test_moe_forward_with_cold_weights(
    name: str, dtype: torch.dtype, cell: Cell, compare: Callable[..., Timed], target: Callable[..., None]
) -> None:
    made = sum(why_not(other, cell, 1, dtype) is None for other in FORWARD)
    many = copies(cell.weights(cell.experts) * dtype.itemsize, made)
    group = f"MoE forward, {cell}, 1 tokens, {str(dtype).removeprefix('torch.')}, cold weights"
    timed = compare(
        name,
        FORWARD,
        lambda name: cold(name, cell, dtype, many),
        group=group,
        clock=WALL,
        count=THREADS,
        **many.facts,
    )
    want_forward(name, timed, target, 1, dtype)


def cold(name: str, cell: Cell, dtype: torch.dtype, many: Copies) -> Variant:
    """All copies with all tokens. A dense layer has one set of weights, all of which each token reads: more copies."""
    skip_what_cannot_be(name, cell, 1, dtype)
    tokens = token_for_each_expert(cell, dtype)
    is_dense = ROLES[name] == "floor"
    number_of = many.count * (len(tokens) if is_dense else 1)
    layers = [layer.eval() for layer in several(name, cell, dtype, number_of)]
    calls = []
    for number, x in enumerate(tokens):
        check(name, layers[0], cell, x)
        of_token = layers[number :: len(tokens)] if is_dense else layers
        calls += [lambda layer=layer, x=x: layer(x) for layer in of_token]
    floor = floor_seconds(cell, tokens[0], many.between)
    measured = of_model(through(calls), ROLES[name], layers[0], tokens[0], floor_seconds=floor)
    return replace(measured, parts=len(calls))


@torch.no_grad()
def token_for_each_expert(cell: Cell, dtype: torch.dtype) -> list[Tensor]:
    """Tokens (1, width) that use all experts, each of them once.

    They are short, so that logits are: of two that are large and alike, rounding would move the weights.
    """
    rows = reference(cell, dtype).block.gate.weight.unflatten(0, (-1, cell.top_k)).sum(1) / 100
    assert experts_of(rows, cell) == cell.experts
    return list(rows.split(1))


@cells
@dtypes
@pytest.mark.parametrize("tokens", [64, 2048] if FULL else [2048])
@pytest.mark.parametrize("name", STEPS)
def test_moe_step(
    name: str, tokens: int, dtype: torch.dtype, cell: Cell, compare: Callable[..., Timed], target: Callable[..., None]
) -> None:
    """Forward and backward; weights and input need gradients. Kept gradients are set to zero, the others to None."""
    group = f"MoE forward and backward, {cell}, {tokens} tokens, {str(dtype).removeprefix('torch.')}"
    timed = compare(
        name, STEPS, lambda name: step_of(name, tokens, dtype, cell), group=group, clock=WALL, count=THREADS
    )
    want_step(name, timed, target, tokens)


def step_of(name: str, tokens: int, dtype: torch.dtype, cell: Cell) -> Variant:
    kept = name.endswith("kept gradients")
    skip_what_cannot_be(name, cell, tokens, dtype)
    layer = make(NAME if kept else name, cell, dtype).train()
    if kept:
        assert isinstance(layer, MoEFFN)
        layer.experts.accumulate = True
    x = random_tokens(tokens, cell, dtype).requires_grad_()
    upstream = random_tokens(tokens, cell, dtype, seed=1)
    check(name, layer, cell, x)

    def step() -> None:
        for tensor in (x, *layer.parameters()):
            if kept and tensor.grad is not None:
                tensor.grad.zero_()
            else:
                tensor.grad = None
        layer(x).backward(upstream)

    floor = floor_seconds(cell, x.detach(), passes=3)
    return of_model(step, "ours" if kept else ROLES[name], layer, x, floor_seconds=floor)
