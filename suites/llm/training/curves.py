"""Curves of a training of a language model: validation loss, and losses by the tokens seen.

train(
    ...,
    evaluate=validation_loss(data, context),
    callbacks=[LossByTokens()],
)
"""

from collections.abc import Callable, Mapping
from typing import Any

from torch import nn

from ...contracts.context import Context
from ...training.callbacks import Callback, TrainingState
from .data import TextRows, first_of_each

VAL_LOSS = "val loss"
VAL_ROWS = 4
"""Held-out rows of each group that an evaluation within training reads."""


def validation_loss(
    data: TextRows, context: Context, rows: int = VAL_ROWS
) -> Callable[[nn.Module], Mapping[str, float]]:
    """An `evaluate` for the training loop: mean loss, in nats per token with a label, of held-out rows of each group.

    Raises ValueError for data without a held-out part.
    """
    chosen = first_of_each(data.val.train, rows)
    if not chosen:
        raise ValueError("these data have no held-out part: there is nothing to take a validation loss of")
    size = context.budget.batch_size
    batches = [data.collate(chosen[start : start + size]) for start in range(0, len(chosen), size)]

    def evaluate(model: nn.Module) -> Mapping[str, float]:
        total = 0.0
        for batch in batches:
            total += float(context.loss(model, batch)) * data.weight(batch)
        return {VAL_LOSS: total / sum(data.weight(batch) for batch in batches)}

    return evaluate


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
