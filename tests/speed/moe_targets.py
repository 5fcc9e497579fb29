"""How much faster than what a user would take instead our MoE layer wants to be."""

from collections.abc import Callable

import torch

from .groups import Timed
from .moe_variants import COMPILED

AS_FAST = 0.97
"""Compiled against eager: what is level within noise is not slower."""
FORWARD = {
    1: {torch.float32: 1.3, torch.bfloat16: 1.5},
    64: {torch.float32: 2.5, torch.bfloat16: 2.0},
    2048: {torch.float32: 1.8, torch.bfloat16: 1.4},
}
"""Times as fast as the fastest peer, by tokens."""
STEP = {64: 1.15, 2048: 1.3}
"""The same of a forward and a backward pass."""
AS_DENSE = {torch.float32: 1.0, torch.bfloat16: 0.9}
"""Times as fast as a dense FFN of active size, with as many tokens as keep its products busy."""
BUSY = 2048
DENSE = "dense, active size"


def want_forward(name: str, timed: Timed, target: Callable[..., None], tokens: int, dtype: torch.dtype) -> None:
    """Note what a forward pass of a variant of ours wants to reach, and what it does."""
    if timed.roles[name] != "ours":
        return
    _no_slower_compiled(name, timed, target)
    _faster_than_peers(name, timed, target, FORWARD[tokens][dtype])
    if tokens >= BUSY:
        target("times as fast as the dense FFN", timed.times_as_fast(name, DENSE), at_least=AS_DENSE[dtype])


def want_step(name: str, timed: Timed, target: Callable[..., None], tokens: int) -> None:
    """The same of a forward and a backward pass."""
    if timed.roles[name] != "ours":
        return
    _no_slower_compiled(name, timed, target)
    _faster_than_peers(name, timed, target, STEP[tokens])


def _no_slower_compiled(name: str, timed: Timed, target: Callable[..., None]) -> None:
    eager = name.removesuffix(COMPILED)
    if name.endswith(COMPILED):
        target(f"times as fast as {eager}, eager", timed.times_as_fast(name, eager), at_least=AS_FAST)


def _faster_than_peers(name: str, timed: Timed, target: Callable[..., None], wanted: float) -> None:
    """A dense FFN of active size has the same products and neither router nor order of tokens: where even that is not
    as fast as wanted, no exact form can be."""
    peer = timed.beside(name)
    assert peer is not None
    assert timed.roles[peer] == "peer"
    of_dense = timed.times_as_fast(DENSE, peer)
    excuse = f"the dense FFN is {of_dense:.2f} times as fast as {peer}" if of_dense < wanted else None
    target("times as fast as the fastest peer", timed.times_as_fast(name, peer), at_least=wanted, excuse=excuse)
