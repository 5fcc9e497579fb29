"""Sums over tokens that are those of all processes of `torch.distributed` that train one model together."""

from __future__ import annotations

import torch
import torch.distributed as dist
from torch import Tensor


def several_processes() -> bool:
    """Whether `torch.distributed` runs with more than one process."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def global_sums(*sums: Tensor) -> tuple[Tensor, ...]:
    """Each tensor summed over the processes, in one message; of one process, the tensors themselves.

    Gradients are summed likewise, which makes those of a loss f(global sums) the ones of one process with all tokens:
    every process has the same f, the sum of its gradients over the processes goes back to each, and what each makes of
    it is put together as the rest of the gradient is (the mean of equal losses, as DDP and FSDP have it, or the sum of
    weighted ones). Hence each process must come here, forward and backward, as often as the others.
    """
    if not several_processes():
        return sums
    # Backward, one node for all: processes send their messages in the same order, whatever else is idle in them.
    flat = _Summed.apply(torch.cat([part.flatten() for part in sums]))
    parts = flat.split([part.numel() for part in sums])
    return tuple(part.view_as(like) for part, like in zip(parts, sums, strict=True))


class _Summed(torch.autograd.Function):
    """y = sum of x over the processes; dL/dx = sum of dL/dy over the processes."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        """Sum."""
        return _summed(x)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> Tensor:
        """The same sum."""
        return _summed(grad)


def _summed(x: Tensor) -> Tensor:
    total = x.clone(memory_format=torch.contiguous_format)
    dist.all_reduce(total)
    return total
