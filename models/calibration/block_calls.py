"""How the blocks of a model are called with calibration batches: captured once, and called again later.

A chain is a row of blocks of which each one gets, as its hidden state, just what the one before gave. A decoder is one
chain. Where something lies between two blocks (the next stage of a Swin, the decoder after an encoder), a new chain
starts, whose inputs come from the model as it is by then.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import CACHE_NAMES, Block
from ..errors import ModelError
from .calls import call_model

# Shapes: B rows of a batch, L tokens of a row, D width.


@dataclass(frozen=True)
class BlockCall:
    """The arguments of one call of a block but its hidden state, which is the first argument or the keyword `name`."""

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str | None = None

    def with_hidden(self, hidden: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The arguments with this hidden state in its place."""
        if self.name is None:
            return (hidden, *self.args), dict(self.kwargs)
        return self.args, {**self.kwargs, self.name: hidden}


@dataclass
class Chain:
    """Blocks `first` ... `end` - 1: their calls, by block and by batch, and the hidden states that enter `first`."""

    first: int
    end: int
    calls: list[list[BlockCall]]
    hidden: list[Tensor]


def hidden_of(output: object) -> Tensor:
    """The hidden state in what a block returns: all of it, or the first item of a tuple.

    Args:
        output: what the block returned.

    Raises:
        ModelError: there is no tensor in it.
    """
    if isinstance(output, tuple | list) and output:
        output = output[0]
    if not isinstance(output, Tensor):
        raise ModelError(f"a block returned a {type(output).__name__}, in which no hidden state is known")
    return output


@torch.no_grad()
def capture_chain(model: nn.Module, blocks: Sequence[Block], batches: Sequence[object], first: int) -> Chain:
    """Run the batches up to a block, and capture how it and those that follow in its chain are called.

    The first batch runs through the chain, which shows where this ends. For others, its blocks hand on what they get,
    unless they return more than a hidden state: then all batches run.

    Args:
        model: the model.
        blocks: its blocks, in order.
        batches: what it is called with.
        first: index of the block.

    Returns:
        The calls of each block of the chain, by batch, and the hidden states that enter it.

    Raises:
        ModelError: the model does not call its blocks one after the other, as its anatomy says.
    """
    watch = _Watch(blocks, first)
    calls: list[list[BlockCall]] = []
    hidden: list[Tensor] = []
    for number, batch in enumerate(batches):
        short = number > 0 and watch.plain
        end = len(blocks) if number == 0 else watch.end
        with watch.one_batch(end, short=short):
            _run(model, batch)
        found = watch.calls
        if number == 0:
            watch.end = first + len(found)
        if len(found) == 0 or len(found) != watch.end - first:
            place = blocks[first + len(found)].site.path if first + len(found) < len(blocks) else "another block"
            raise ModelError(
                f"{type(model).__name__} does not call {place} after the block before it in batch {number}, as it "
                "should by its anatomy: blocks cannot be passed one by one"
            )
        calls.append(found)
        hidden.append(watch.entered)
    by_block = [list(row) for row in zip(*calls, strict=True)]
    return Chain(first, watch.end, by_block, hidden)


class _Reached(Exception):  # noqa: N818 - not an error
    """All blocks of the chain were called: the rest of the forward pass is not needed."""


def _run(model: nn.Module, batch: object) -> None:
    if isinstance(batch, Mapping) and any(batch.get(name) is not None for name in CACHE_NAMES):
        raise ModelError("a calibration batch brings a cache of earlier tokens: pass whole sequences instead")
    try:
        call_model(model, batch)
    except _Reached:
        return


class _Watch:
    """Hooks on the blocks from `first` on, which note their calls while a batch runs.

    `plain`: whether all blocks so far returned a hidden state of the shape of their input, and nothing else.
    """

    def __init__(self, blocks: Sequence[Block], first: int) -> None:
        self.modules: list[nn.Module] = [block.site.get() for block in blocks[first:]]
        self.first = first
        self.end = len(blocks)
        self.plain = True
        self.calls: list[BlockCall] = []
        self.entered: Tensor
        self.left: Tensor | None = None
        self.version = 0
        self.last = 0

    @contextmanager
    def one_batch(self, end: int, *, short: bool) -> Iterator[None]:
        """Watch one batch up to the call of the block before `end`. With `short` the blocks hand on what they get."""
        self.calls = []
        self.left = None
        self.last = end - self.first - 1
        hooks: list[Any] = []
        try:
            for place, module in enumerate(self.modules):
                hooks.append(module.register_forward_pre_hook(self._noting(place), with_kwargs=True))
                if not short:
                    hooks.append(module.register_forward_hook(self._after))
            with returning(self.modules if short else [], lambda: self.left):
                yield
        finally:
            for hook in hooks:
                hook.remove()

    def _noting(self, place: int) -> Any:
        name = first_argument(self.modules[place])

        def called(module: nn.Module, args: tuple[object, ...], kwargs: dict[str, Any]) -> None:
            call, x = _taken_apart(args, kwargs, name)
            if place != len(self.calls) or (place > 0 and not self._is_handed_on(x)):
                raise _Reached  # something lies between this block and the one before: the chain ends there
            if place == 0:
                self.entered = x.detach()
            self.calls.append(call)
            if place == self.last:
                raise _Reached
            self.left = x
            self.version = x._version

        return called

    def _is_handed_on(self, x: Tensor) -> bool:
        """Whether x is what the block before gave, and was not written to since."""
        return x is self.left and x._version == self.version

    def _after(self, module: nn.Module, args: object, output: object) -> None:
        assert self.left is not None
        hidden = hidden_of(output)
        self.plain = self.plain and hidden is output and hidden.shape == self.left.shape
        self.left = hidden
        self.version = hidden._version


@contextmanager
def returning(modules: Sequence[nn.Module], value: Callable[[], object]) -> Iterator[None]:
    """Have modules return something of the caller's instead of computing, while this is open.

    Args:
        modules: whose forward is left out.
        value: called for what each of them returns.
    """

    def forward(*args: object, **kwargs: object) -> object:
        return value()

    # Offloading puts a forward of its own on a module, too: what was there comes back.
    before = [vars(module).get("forward") for module in modules]
    try:
        for module in modules:
            vars(module)["forward"] = forward
        yield
    finally:
        for module, old in zip(modules, before, strict=True):
            del vars(module)["forward"]
            if old is not None:
                vars(module)["forward"] = old


def first_argument(block: nn.Module) -> str:
    """The name of the first argument of a block, its hidden state."""
    # Of the class: a forward that stands on the module itself may take anything.
    return list(inspect.signature(type(block).forward).parameters)[1]


def _taken_apart(args: tuple[Any, ...], kwargs: Mapping[str, Any], name: str) -> tuple[BlockCall, Tensor]:
    """A call without its hidden state and without a cache, to which each further call would add tokens."""
    others = {key: _without_cache(value) for key, value in kwargs.items()}
    if args:
        return BlockCall(tuple(_without_cache(value) for value in args[1:]), others), args[0]
    call = BlockCall((), others, name)
    hidden = others.pop(name)
    return replace(call, kwargs=others), hidden


def _without_cache(value: object) -> Any:
    if hasattr(value, "get_seq_length") and hasattr(value, "update"):
        return None
    return value
