"""Our MoE layer beside the stock experts of transformers, compiled ones too, LLaMA-MoE's loop and a dense FFN.

Two threads, wall clock, router included. By default one cell, with the compiled peer only where it is quick to compile
and fast (batched_mm for one token), and steps of 2048 tokens.
"""

import os
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.moe.layer import MoEFFN

from .moe_variants import CELLS, ROLES, Cell, make
from .scope import FULL

# What the compiler says of transformers' own code.
pytestmark = pytest.mark.filterwarnings("ignore:Dynamo detected a call")
DTYPES = [torch.float32, torch.bfloat16]
cells = pytest.mark.parametrize("cell", CELLS if FULL else CELLS[1:2], ids=str)
dtypes = pytest.mark.parametrize("dtype", DTYPES, ids=["float32", "bfloat16"])


@pytest.fixture(autouse=True)
def two_threads(one_thread: None) -> None:
    """After the one thread of all speed runs, which is put back at the end."""
    torch.set_num_threads(min(2, os.cpu_count() or 1))
    torch.compiler.reset()


def skip_what_cannot_be(name: str, cell: Cell, tokens: int, dtype: torch.dtype) -> None:
    if name.endswith("compiled") and not FULL and (tokens > 1 or "grouped_mm" in name):
        pytest.skip("compiling takes long: sparsebench speed --full runs it")
    if "batched_mm" in name and tokens > 1:
        pytest.skip("batched_mm copies the weights of the chosen experts for each token")
    if "grouped_mm" in name and cell.hidden * dtype.itemsize % 16:
        pytest.skip("grouped_mm refuses rows that are no multiple of 16 bytes")


def agreement(found: Tensor, reference: Tensor) -> float:
    """Relative error over the tokens that took the same route: the median over tokens, robust to a tie."""
    error = (found.float() - reference.float()).norm(dim=1) / reference.float().norm(dim=1)
    return error.median().item()


@torch.no_grad()
def check(module: nn.Module, cell: Cell, x: Tensor) -> None:
    tolerance = 1e-5 if x.dtype == torch.float32 else 2e-2
    assert agreement(module(x), make("transformers eager", cell, x.dtype)(x)) < tolerance


@cells
@dtypes
@pytest.mark.parametrize("tokens", [1, 64, 2048])
@pytest.mark.parametrize("name", [name for name in ROLES if "loop" not in name])
@torch.no_grad()
def test_moe_forward(name: str, tokens: int, dtype: torch.dtype, cell: Cell, measure: Callable[..., None]) -> None:
    skip_what_cannot_be(name, cell, tokens, dtype)
    layer = make(name, cell, dtype).eval()
    x = torch.randn(tokens, cell.width, generator=torch.Generator().manual_seed(0)).to(dtype)
    if ROLES[name] != "floor":
        check(layer, cell, x)
    group = f"MoE forward, {cell}, {tokens} tokens, {str(dtype).removeprefix('torch.')}"
    measure(lambda: layer(x), group=group, role=ROLES[name], model=layer, inputs=x, variant=name, clock="wall")


@cells
@dtypes
@pytest.mark.parametrize("tokens", [64, 2048] if FULL else [2048])
@pytest.mark.parametrize("name", [name for name in [*ROLES, "sparsebench, kept gradients"] if "batched" not in name])
def test_moe_step(name: str, tokens: int, dtype: torch.dtype, cell: Cell, measure: Callable[..., None]) -> None:
    """Forward and backward; weights and input need gradients. Kept gradients are set to zero, the others to None."""
    skip_what_cannot_be(name, cell, tokens, dtype)
    if name.endswith("compiled") and not FULL:
        pytest.skip("compiling takes long: sparsebench speed --full runs it")
    kept = name.endswith("kept gradients")
    layer = make("sparsebench" if kept else name, cell, dtype).train()
    if kept:
        assert isinstance(layer, MoEFFN)
        layer.experts.accumulate = True
    x = torch.randn(tokens, cell.width, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    upstream = torch.randn(tokens, cell.width, generator=torch.Generator().manual_seed(1)).to(dtype)
    if ROLES.get(name) != "floor":
        check(layer, cell, x)

    def step() -> None:
        for tensor in (x, *layer.parameters()):
            if kept and tensor.grad is not None:
                tensor.grad.zero_()
            else:
                tensor.grad = None
        layer(x).backward(upstream)

    group = f"MoE forward and backward, {cell}, {tokens} tokens, {str(dtype).removeprefix('torch.')}"
    role = "ours" if kept else ROLES[name]
    measure(step, group=group, role=role, model=layer, inputs=x, variant=name, clock="wall")
