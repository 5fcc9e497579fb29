"""The two states of a block's call that a similarity compares: before and after one of its parts, or a whole window."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ...anatomy import MLP, Block
from ...calibration.block_calls import first_argument, hidden_of
from ...errors import ModelError
from .absent import without

# Shapes: B rows, L tokens of a row, D width.

States = Callable[[Block, tuple[Any, ...], Mapping[str, Any], Any], tuple[Tensor, Tensor]]
"""states(block, args, keywords, output): two hidden states (B, L, D) of one call of a block."""


def around_mlp(
    block: Block, args: tuple[object, ...], keywords: Mapping[str, object], output: object
) -> tuple[Tensor, Tensor]:
    """What the block gives without its FFN, and with it. Raises `ModelError` for an FFN that cannot be taken out."""
    with without(block, mlp=True):
        before = hidden_of(block.site.get()(*args, **keywords))
    return before, hidden_of(output)


def around_attention(
    block: Block, args: tuple[object, ...], keywords: Mapping[str, object], output: object
) -> tuple[Tensor, Tensor]:
    """What the block gives without its attention, and with it; without its FFN, if there is one, in both cases.

    The FFN would change what the attention has left. Raises `ModelError` for a part that cannot be taken out.
    """
    mlp = block.mlp is not None
    module = block.site.get()
    with without(block, mlp=mlp):
        after = hidden_of(module(*args, **keywords))
    with without(block, mlp=mlp, attention=True):
        before = hidden_of(module(*args, **keywords))
    return before, after


def mlp_alone(
    block: Block, args: tuple[object, ...], keywords: Mapping[str, object], output: object
) -> tuple[Tensor, Tensor]:
    """What enters the FFN and what leaves it, of the block called once more.

    Raises:
        ModelError: the block has none.
    """
    if block.mlp is None:
        raise ModelError(f"{block.site.path} has no FFN")
    with _watched(block.mlp) as (entered, left):
        block.site.get()(*args, **keywords)
    shape = hidden_of(output).shape
    # The blocks of OPT lay the tokens of all rows in one before their FFN.
    return entered[0].reshape(shape), torch.stack(left).sum(0).reshape(shape)


@contextmanager
def _watched(mlp: MLP) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """What enters an FFN, and what leaves it: in two parts where the block adds that of a shared FFN (Granite)."""
    entered: list[Tensor] = []
    left: list[Tensor] = []

    def enter(module: nn.Module, args: tuple[object, ...], keywords: dict[str, Any]) -> None:
        entered.append(_entering(module, args, keywords))

    def leave(module: nn.Module, args: tuple[object, ...], output: object) -> None:
        left.append(hidden_of(output))

    shared = None if mlp.experts is None else mlp.experts.shared
    hooks = [mlp.site.get().register_forward_pre_hook(enter, with_kwargs=True)]
    hooks.append(mlp.output.get().register_forward_hook(leave))
    if shared is not None and shared.parent is mlp.site.parent:
        hooks.append(shared.get().register_forward_hook(leave))
    try:
        yield entered, left
    finally:
        for hook in hooks:
            hook.remove()


def _entering(module: nn.Module, args: tuple[Any, ...], keywords: Mapping[str, Any]) -> Tensor:
    """The hidden states that a block or a part of it is called with."""
    return args[0] if args else keywords[first_argument(module)]


class Window:
    """States at both ends of a window that slides over the blocks."""

    def __init__(self, blocks: int) -> None:
        # What entered the last blocks: of each, the hidden state of every batch.
        self.held: deque[list[Tensor]] = deque(maxlen=blocks)
        self.left: Tensor | None = None

    @property
    def full(self) -> bool:
        """Whether the window holds as many blocks as it should."""
        return len(self.held) == self.held.maxlen

    def next_block(self) -> None:
        """The calls that follow are those of the next block."""
        self.held.append([])

    def __call__(self, block: Block, args: tuple[Any, ...], keywords: Mapping[str, Any], output: Any) -> Any:
        """What entered the first block of the window in this batch, and what left the last."""
        entering = _entering(block.site.get(), args, keywords)
        leaving = hidden_of(output)
        number = len(self.held[-1])
        if number == 0:
            if entering is not self.left:
                # Something lies between this block and the one before: no window spans that.
                self.held.clear()
                self.next_block()
            self.left = leaving
        self.held[-1].append(entering)
        return self.held[0][number], leaving
