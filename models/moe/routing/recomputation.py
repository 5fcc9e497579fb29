"""What gradient checkpointing does to a router: its forward pass runs twice, and the first may be without gradient."""

from __future__ import annotations

import sys
from types import FrameType

import torch
from torch.utils.checkpoint import CheckpointFunction

from ...errors import ModelError


def recomputing() -> bool:
    """Whether this forward pass runs inside a backward pass, to get back activations that were not kept."""
    if torch.compiler.is_compiling():
        return False
    return torch._C._current_graph_task_id() != -1


def refuse_reentrant() -> None:
    """Raise a `ModelError` inside reentrant checkpointing (`use_reentrant=True`), which would lose an `aux_loss`.

    It runs the forward pass without a graph, and again in the backward pass, whose graph starts from the outputs alone:
    a loss that was taken from the inside has no gradient in either. One that is attached to a layer has.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        if frame.f_code is CheckpointFunction.forward.__code__:
            raise ModelError(
                "reentrant checkpointing drops the gradient of aux_loss: pass use_reentrant=False to "
                "torch.utils.checkpoint.checkpoint, or model.activation_checkpointing_enable("
                "{'use_reentrant': False}), or train with add_balance_loss(model) in the place of aux_loss"
            )
        frame = frame.f_back
