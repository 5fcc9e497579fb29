"""Curves of a training of a language model: validation loss, and losses by the tokens seen.

train(
    ...,
    evaluate=validation_loss(data, context),
    callbacks=[LossByTokens()],
)
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn

from sparsebench.data.text.windows import token_bytes

from ...contracts.context import Context
from ...training.callbacks import Callback, TrainingState
from .data import TextRows, first_of_each
from .packing import Row

VAL_LOSS = "val loss"
VAL_BITS = "val bits per byte"
VAL_ROWS = 4
"""Held-out rows of each group that an evaluation within training reads."""


def validation_loss(
    data: TextRows, context: Context, rows: int = VAL_ROWS
) -> Callable[[nn.Module], Mapping[str, float]]:
    """An `evaluate` for the training loop: mean loss, in nats per token with a label, of held-out rows of each group.

    Of windows of text whose tokenizer is known also their bits over their bytes, all rows together; the first token of
    a window is context only. Raises ValueError for data without a held-out part.
    """
    chosen = first_of_each(data.val.train, rows)
    if not chosen:
        raise ValueError("these data have no held-out part: there is nothing to take a validation loss of")
    size = context.budget.batch_size
    batches = [data.collate(chosen[start : start + size]) for start in range(0, len(chosen), size)]
    size_in_bytes = _bytes(data, chosen)

    def evaluate(model: nn.Module) -> Mapping[str, float]:
        total = 0.0
        for batch in batches:
            total += float(context.loss(model, batch)) * data.weight(batch)
        found = {VAL_LOSS: total / sum(data.weight(batch) for batch in batches)}
        if size_in_bytes:
            found[VAL_BITS] = total / math.log(2) / size_in_bytes
        return found

    return evaluate


def _bytes(data: TextRows, rows: Sequence[Row]) -> int:
    """Bytes of the tokens that windows of text are scored on; 0 where the rows are no windows, or nobody can know."""
    if data.packed or data.tokenizer is None:
        return 0
    return sum(token_bytes(data.tokenizer, row.examples[0].ids[1:]) for row in rows)


class LossByTokens(Callback):
    """Draws losses and scores again over the tokens seen so far, as curves "... by tokens"; the page labels its axes.

    Needs a training that counts its tokens.
    """

    def on_step(self, state: TrainingState) -> None:
        """Note the loss of the step, and what was evaluated after it."""
        self._note(state, "train loss", state.loss)
        self._note_scores(state)

    def on_epoch(self, state: TrainingState) -> None:
        """Note what was evaluated at the end of the epoch."""
        self._note_scores(state)

    def on_end(self, state: TrainingState) -> None:
        """Note the last evaluation."""
        self._note_scores(state)

    def _note_scores(self, state: TrainingState) -> None:
        for name, value in state.scores.items():
            if state.curves[name][-1][0] == state.step:
                self._note(state, name, value)

    def _note(self, state: TrainingState, name: str, value: Any) -> None:
        points = state.curves.setdefault(f"{name} by tokens", [])
        if not points or points[-1][0] < state.tokens:
            points.append((float(state.tokens), float(value)))
