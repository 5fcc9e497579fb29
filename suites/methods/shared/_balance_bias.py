"""The call that moves the biases of routers balanced without a loss, in the training loop."""

from sparsebench.models.moe.routing.choice_bias import discard_counts, update_biases

from ...training.callbacks import Callback, TrainingState


class BalanceBias(Callback):
    """Moves the biases after each step by what all its batches, in all processes, chose; nothing without such routers.

    Whatever trains with `aux_loss` has it, for routers with `balance="bias"` (`models/moe/routing/choice_bias.py`) stay
    where they are otherwise. The biases are buffers of the model, so that checkpoints have them.
    """

    def on_start(self, state: TrainingState) -> None:
        """Count from here on."""
        for model in state.models.values():
            discard_counts(model)

    def on_step(self, state: TrainingState) -> None:
        """Move them."""
        for model in state.models.values():
            update_biases(model)
