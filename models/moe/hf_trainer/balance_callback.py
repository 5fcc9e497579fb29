"""The balance loss of a mixture under transformers' `Trainer`."""

from __future__ import annotations

from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ..routing.choice_bias import discard_counts, update_biases
from .loss_hook import BalanceLossHandle, add_balance_loss


class BalanceLossCallback(TrainerCallback):
    """Adds the balance loss to the training loss, once per micro-batch, right under accumulation and many processes.

    What is added, for converted models and stock mixtures, and with what weight: `add_balance_loss`. The loss that
    `Trainer` logs holds it; evaluation does not. The biases of routers with `balance="bias"` move
    after each step. Nothing of it is kept in checkpoints: a training goes on with it when the callback is given again.

    `coefficient` replaces the `router_aux_loss_coef` of a stock mixture. When training starts, a `ModelError` is raised
    for a model without a balance loss; in the first step for a loss function of the user's own (`compute_loss_func`,
    label smoothing), which never sees the loss of the model.

    Example::

        model = convert(AutoModelForCausalLM.from_pretrained(name), preset("llama_moe_v1_4of16"))
        trainer = Trainer(model, arguments, train_dataset=rows, callbacks=[BalanceLossCallback()])
        trainer.train()
    """

    def __init__(self, coefficient: float | None = None) -> None:
        self.coefficient = coefficient
        self._handle: BalanceLossHandle | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Hook into the model; once, also after a training that broke off."""
        self._remove()
        self._handle = add_balance_loss(kwargs["model"], self.coefficient)
        discard_counts(kwargs["model"])

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the biases of routers that are balanced by them, by what all micro-batches of the step chose."""
        update_biases(kwargs["model"])

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model as it was."""
        self._remove()

    def _remove(self) -> None:
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
