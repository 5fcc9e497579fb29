"""How far a model's outputs are from what they were, when its first blocks have changed and the rest has not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from ....anatomy import describe
from ....calibration.block_calls import capture_chain, hidden_of, returning
from ....calibration.calls import batch_list, batch_mask, call_model
from ....errors import ModelError
from ..output_divergence import output_divergence

# Shapes: B rows of a batch, L tokens of a row, D width, V vocabulary.


class SuffixDivergence:
    """KL of a causal language model's outputs from those of the model as it was when this was made.

    Blocks run one by one on hidden states that are kept, so that what lies before a changed block does not run again:
    held in memory are the inputs of the first block and the outputs of the last, of all batches. The model must be in
    evaluation mode.
    """

    @torch.no_grad()
    def __init__(self, model: nn.Module, batches: Iterable[object]) -> None:
        self.model = model
        self.batches = batch_list(batches)
        blocks = describe(model).blocks
        self.modules = [block.site.get() for block in blocks]
        chain = capture_chain(model, blocks, self.batches, 0)
        if chain.end < len(blocks):
            raise ModelError(f"{type(model).__name__} does not hand the output of each block to the next one alone")
        self.calls = chain.calls
        self.start = tuple(chain.hidden)
        """What enters the first block, by batch."""
        self.end = self.through(self.start, 0, len(blocks))

    @torch.no_grad()
    def through(self, hidden: Sequence[Tensor], first: int, end: int) -> tuple[Tensor, ...]:
        """What blocks `first` ... `end` - 1, as they are now, make of hidden states.

        Args:
            hidden: what enters the first of them, a tensor (B, L, D) for each batch.
            first: index of a block.
            end: index after the last.
        """
        found = list(hidden)
        for index in range(first, end):
            for place, call in enumerate(self.calls[index]):
                args, keywords = call.with_hidden(found[place])
                found[place] = hidden_of(self.modules[index](*args, **keywords))
        return tuple(found)

    @torch.no_grad()
    def divergence(self, hidden: Sequence[Tensor], first: int) -> float:
        """KL(as it was || with these hidden states), in nats, mean over the real tokens of all batches.

        Args:
            hidden: what enters block `first`, by batch.
            first: index of the block; the number of blocks for what the last one gave.
        """
        left = self.through(hidden, first, len(self.modules))
        total = 0.0
        tokens = 0
        for batch, changed, before in zip(self.batches, left, self.end, strict=True):
            real = _real(batch, changed)
            count = int(real.sum())
            found = output_divergence(self._logits(batch, before), self._logits(batch, changed), real)
            total += float(found) * count
            tokens += count
        return total / tokens

    def _logits(self, batch: object, hidden: Tensor) -> Tensor:
        """The model's logits (B, L, V) when its last block gives these hidden states."""
        with returning(self.modules, lambda: hidden):
            output = call_model(self.model, batch)
        return output if isinstance(output, Tensor) else output.logits


def _real(batch: object, hidden: Tensor) -> Tensor:
    """Which tokens count, bool (B, L)."""
    mask = batch_mask(batch)
    if isinstance(mask, Tensor) and mask.shape == hidden.shape[:-1]:
        return mask.bool().to(hidden.device)
    return torch.ones(hidden.shape[:-1], dtype=torch.bool, device=hidden.device)
