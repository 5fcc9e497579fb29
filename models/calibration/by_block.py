"""One block of a model after the other, each with all calibration batches: what pruning and statistics stream over.

    for step in by_block(model, batches):
        with hooks_of_mine(step.block) as seen:  # they ask `step.mask` which tokens are real
            step.run()
        prune(step.block, seen)  # the next block gets what this one gives from now on

Held in memory: the hidden states of all batches at one place of the model, and what else its blocks are called with
(masks, positions), once for all blocks that share it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..anatomy import Anatomy, Block, describe
from ..errors import ModelError
from ..evaluation import evaluation_mode
from .block_calls import BlockCall, Chain, capture_chain, hidden_of
from .calls import batch_list, batch_mask
from .progress import tell
from .token_mask import MaskReader

# Shapes: B rows of a batch, L tokens of a row, D width.


class BlockPass:
    """One block of the anatomy, `block`, and how every batch enters it."""

    def __init__(self, block: Block, calls: Sequence[BlockCall], hidden: list[Tensor], masks: Sequence[Any]) -> None:
        self.block = block
        self._calls = calls
        self._hidden = hidden
        self._masks = masks
        self._mask: Tensor | None = None
        self._left = False
        self._ahead: list[Tensor] = []

    @property
    def mask(self) -> Tensor:
        """Which tokens of the batch that is in the block now are real: bool, in the shape of its hidden state but D.

        (B, L) in a transformer: by the mask that the block is called with, else by the batch's `attention_mask`, if
        that is (B, L); else all are. Raises `ModelError` outside of a call of `run`.
        """
        if self._mask is None:
            raise ModelError("no batch is in the block: `mask` is for hooks, while `run` is in a call")
        return self._mask

    @torch.no_grad()
    def run(self, *, final: bool = False) -> None:
        """Pass every batch through the block, as it is now.

        Args:
            final: keep what comes out as the input of the next block, which spares one run where the block does not
                change any more; otherwise it is thrown away.

        Raises:
            ModelError: a second run after that.
        """
        if self._left:
            raise ModelError(f"{self.block.site.path} has passed its outputs on: it cannot run again")
        self._left = final
        module = self.block.site.get()
        module.eval()  # what the caller has put in, too
        reader = MaskReader.of(module)
        try:
            for index, (call, mask) in enumerate(zip(self._calls, self._masks, strict=True)):
                hidden = self._hidden[index]
                args, kwargs = call.with_hidden(hidden)
                self._mask = _real(reader, hidden, call, mask)
                output = hidden_of(module(*args, **kwargs))
                if final:
                    self._hidden[index] = output
        finally:
            self._mask = None

    def look_ahead(self) -> None:
        """Keep what the block gives as it is now: the inputs of the next block, however this one changes."""
        entered = list(self._hidden)
        self.run(final=True)
        self._ahead = list(self._hidden)
        self._hidden[:] = entered
        self._left = False

    def leave(self) -> None:
        """Make the outputs the inputs of the next block, unless `run(final=True)` has."""
        if self._ahead:
            self._hidden[:] = self._ahead
        elif not self._left:
            self.run(final=True)


def by_block(
    model: nn.Module, batches: Iterable[object], blocks: Iterable[int] | None = None, *, sequential: bool = True
) -> Iterator[BlockPass]:
    """The blocks of a model in order, each with every batch.

    When the caller asks for the next block, this one runs once more, as it is by then (pruned, quantised, without its
    FFN), and its outputs are the next one's inputs. Blocks may change in any way but stay in the model: take them out
    afterwards. Meanwhile the model is in eval mode; modes come back at the end, after an error, and when the iterator
    is closed. No gradients.

    A block that gets something else than what the one before gave (the next stage of a Swin, a decoder after its
    encoder) costs one more run of the model up to there.

    Args:
        model: a model whose anatomy is known.
        batches: what the model is called with: `model(**batch)` for mappings, else `model(batch)`.
        blocks: their indices; None is all.
        sequential: False: the inputs of every block are those of the model as it was, whatever becomes of the blocks
            before; that needs memory for the hidden states at two places, and blocks that all hand on to each other.

    Returns:
        One pass after the other.

    Raises:
        ModelError: no batches, indices that are not there, blocks that share a module, a model that does not call its
            blocks one after the other, and half-way where `sequential=False` cannot be.
    """
    batches = batch_list(batches)
    anatomy = describe(model)
    wanted = set(range(len(anatomy.blocks)) if blocks is None else blocks)
    unknown = sorted(wanted - set(range(len(anatomy.blocks))))
    if unknown:
        raise ModelError(f"blocks={unknown}: the model has blocks 0..{len(anatomy.blocks) - 1}")
    _check_apart(anatomy.blocks)
    return _stream(anatomy, batches, wanted, sequential)


def _check_apart(blocks: Sequence[Block]) -> None:
    seen: dict[int, str] = {}
    for block in blocks:
        module = block.site.get()
        if id(module) in seen:
            raise ModelError(
                f"{block.site.path} is the module of two blocks of the view: they cannot be passed one by one"
            )
        seen[id(module)] = block.site.path


def _stream(anatomy: Anatomy, batches: list[Any], wanted: set[int], sequential: bool) -> Iterator[BlockPass]:
    model = anatomy.model
    masks = [batch_mask(batch) for batch in batches]
    # Nothing behind the last block that is wanted has to run.
    blocks = anatomy.blocks[: max(wanted, default=-1) + 1]
    start = min(wanted, default=0)
    with evaluation_mode(model):
        while start < len(blocks):
            # A chain ends where a block gets something else than what the one before gave; from there the model runs
            # again up to it.
            chain = capture_chain(model, blocks, batches, start)
            if not sequential and chain.end < len(blocks):
                raise ModelError(
                    f"sequential=False: {blocks[chain.end].site.path} does not get what the block before it gives, so "
                    "that its inputs cannot be kept as they were; take sequential=True"
                )
            yield from _passes(blocks, chain, masks, wanted, sequential)
            start = chain.end


def _passes(
    blocks: Sequence[Block], chain: Chain, masks: list[Any], wanted: set[int], sequential: bool
) -> Iterator[BlockPass]:
    for index in range(chain.first, chain.end):
        step = BlockPass(blocks[index], chain.calls[index - chain.first], chain.hidden, masks)
        # Not for the last one of a chain: what follows it is captured from the model itself.
        goes_on = any(later in wanted for later in range(index + 1, chain.end))
        if index in wanted:
            if goes_on and not sequential:
                step.look_ahead()
            yield step
            tell(index + 1, len(blocks))
        if goes_on:
            step.leave()


def _real(reader: MaskReader, hidden: Tensor, call: BlockCall, batch_mask: object) -> Tensor:
    shape = hidden.shape[:-1]
    found = None
    if len(shape) == 2:
        found = reader(*call.with_hidden(hidden))
    if found is None and isinstance(batch_mask, Tensor) and batch_mask.shape == shape:
        found = batch_mask != 0
    if found is None:
        return torch.ones(shape, dtype=torch.bool, device=hidden.device)
    return found.to(hidden.device)
