"""Parameters that a partition leaves without use get no gradient, so that nobody waits for one."""

from __future__ import annotations

from torch import nn

from ..partially_dynamic import PartiallyDynamic


def freeze_idle(model: nn.Module) -> int:
    """Take the gradient off parameters of dynamic layers and attentions that no output depends on.

    Those are kernels, and what mixes them, of what is static as a whole, the static weight of what is dynamic as a
    whole, and factors that are fixed or act on nothing. `DistributedDataParallel` would wait for their gradients and
    stop. `partition` does it, and so does `load_state_dict` where it brings a partition; call it where all was made
    trainable after that, or where a model without memory (device "meta") got its values by `assign=True`.

    Args:
        model: a model with partitioned layers.

    Returns:
        How many parameters were frozen by this call.
    """
    return sum(part.freeze_unused() for part in model.modules() if isinstance(part, PartiallyDynamic))
