"""A short training on the calibration text before a model is handed on, by the one training loop."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ...contracts.context import Context
from ...training.data_order import FixedBatches
from ...training.groups import Group
from ...training.loop import train
from ...training.settings import TrainSettings

STAGE = "calibration"
WARMUP = 0.1
"""Fraction of the steps in which the rate rises."""


def train_on_calibration(
    model: nn.Module, loss: Callable[[Any, Any], Tensor], context: Context, *, passes: int, learning_rate: float
) -> None:
    """Train what of a model has a gradient: AdamW without decay, norm clipped to 1, a cosine.

    What it took is noted in the ledger, its first and last loss in the record. In bfloat16, losses are computed under
    autocast; what trains should be in float32.

    Args:
        model: the model; it is left in eval mode.
        loss: mean loss of (model, calibration batch).
        context: has the batches.
        passes: over all of them.
        learning_rate: the peak.
    """
    batches = list(context.batches())
    precision: Literal["float32", "bfloat16"] = "bfloat16" if context.dtype is torch.bfloat16 else "float32"
    group = Group.adamw("model", model, learning_rate=learning_rate, weight_decay=0.0)
    result = train(
        model,
        FixedBatches(batches),
        loss,
        groups=[group],
        settings=TrainSettings(epochs=passes, warmup=WARMUP, clip=1.0, precision=precision),
        tokens=context.tokens,
        folder=context.folder,
        stage=STAGE,
        corpus=f"calibration of {context.suite}/{context.task}, seed {context.seed}",
    )
    context.ledger.count(group.members())
    context.ledger.add(**result.taken())
    losses = result.curves["train loss"]
    context.note("calibration training", {"steps": result.steps, "loss": [losses[0][1], losses[-1][1]]})
