"""Parameters that a partition leaves without use get no gradient, so that nobody waits for one."""

from __future__ import annotations

from torch import nn

from ..partially_dynamic import PartiallyDynamic


def freeze_idle(model: nn.Module) -> int:
    """Take the gradient off parameters of dynamic layers and attentions that no output depends on.

    Those are kernels, and what mixes them, of what is static as a whole, the static weight of what is dynamic as a
    whole, and factors that are fixed or act on nothing. `DistributedDataParallel` would wait for their gradients and
    stop. `partition` does it; call it again after a partition came with `load_state_dict`, or where all was made
    trainable.

    Args:
        model: a model with partitioned layers.

    Returns:
        How many parameters were frozen by this call.
    """
    frozen = 0
    for part in model.modules():
        if isinstance(part, PartiallyDynamic):
            for parameter in part.unused_parameters():
                frozen += parameter.requires_grad
                parameter.requires_grad_(False)
    return frozen
