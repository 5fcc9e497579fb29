"""A training whose loss is NaN or infinite ends with an error, which `Trainer` by itself would not say."""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class FiniteLoss(TrainerCallback):
    """Raises FloatingPointError at the first line of the log whose loss or norm of the gradient is not finite.

    It is the same line in all processes, so that all end. The arguments need `logging_nan_inf_filter=False`: else
    `Trainer` writes the mean of the steps before in the place of what is not finite, and trains on.
    """

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, Any] | None = None,
        **keywords: Any,
    ) -> None:
        """Look at the line."""
        for name in ("loss", "grad_norm"):
            value = (logs or {}).get(name)
            if value is not None and not math.isfinite(value):
                raise FloatingPointError(
                    f"{name} is {value} at step {state.global_step}: lower the learning rate, or look for rows of the "
                    "last steps that the model cannot read; the checkpoints before it are whole"
                )
