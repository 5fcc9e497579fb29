"""The balance loss of a mixture under transformers' `Trainer`."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ...anatomy import unwrapped
from ...loss_scale import set_loss_scale
from ..routing.choice_bias import discard_counts, update_biases
from .loss_hook import BalanceLossHandle, add_balance_loss


class BalanceLossCallback(TrainerCallback):
    """Trains with the balance loss, whatever the training loss is, right under accumulation and many processes.

    The loss may be the model's own, `compute_loss_func`, label smoothing or that of a trainer of TRL: the gradient of
    the balance loss comes with each backward pass, see `add_balance_loss`, for converted models and stock mixtures. It
    counts 1 / `gradient_accumulation_steps` in each micro-batch, however many label tokens there are in it (in the last
    step of an epoch that has fewer micro-batches, less in all). The biases of routers with `balance="bias"` move after
    each step. Nothing of it is kept in checkpoints: a training goes on with it when the callback is given again.

    `loss` in the log, and `outputs.loss`, are those of the task alone. Next to `loss`, the history of the log gets
    `balance_loss`: the mean over the micro-batches since the line before, of the tokens of all processes.

    `coefficient` replaces the `router_aux_loss_coef` of a stock mixture. `group`: the processes whose tokens count
    together, all by default (`balance_together`). When training starts, a `ModelError` is raised for a model without a
    balance loss.

    Example::

        model = convert(AutoModelForCausalLM.from_pretrained(name), preset("llama_moe_v1_4of16"))
        trainer = Trainer(model, arguments, train_dataset=rows, callbacks=[BalanceLossCallback()])
        trainer.train()
    """

    def __init__(self, coefficient: float | None = None, group: Any = None) -> None:
        self.coefficient = coefficient
        self.group = group
        self._handle: BalanceLossHandle | None = None
        self._values: list[Tensor] = []

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Attach it to the model; once, also after a training that broke off."""
        self._remove()
        self._handle = add_balance_loss(kwargs["model"], self.coefficient, self.group)
        discard_counts(unwrapped(kwargs["model"]))

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Say what a micro-batch counts; the gradients of half precision are those of a scaled loss."""
        scaler = getattr(kwargs.get("optimizer"), "scaler", None)
        scale = 1.0 if scaler is None else scaler.get_scale()
        set_loss_scale(scale / args.gradient_accumulation_steps)

    def on_substep_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: object
    ) -> None:
        """Note the value of a micro-batch."""
        value = None if self._handle is None else self._handle.value()
        if value is not None:
            self._values.append(value.clone())

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Move the biases of routers that are balanced by them, by what all micro-batches of the step chose."""
        update_biases(unwrapped(kwargs["model"]))

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Note the value of the last micro-batch."""
        self.on_substep_end(args, state, control, **kwargs)

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Put the mean next to the training loss."""
        if "loss" not in kwargs["logs"] or not self._values:
            return
        mean = float(sum(self._values, start=self._values[0].new_zeros(()))) / len(self._values)
        self._values = []
        kwargs["logs"]["balance_loss"] = mean
        next(line for line in reversed(state.log_history) if "loss" in line)["balance_loss"] = mean

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model as it was."""
        self._remove()

    def _remove(self) -> None:
        self._values = []
        set_loss_scale(1.0)
        if self._handle is not None:
            self._handle.remove()
            self._handle = None
