"""Sums over tokens that are those of all processes of `torch.distributed` that train one model together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch._compile import _disable_dynamo

from ...errors import ModelError
from .once_differentiable import once_differentiable


class Together:
    """The processes whose tokens balance one mixture together.

    `group`: a process group; "all": every process of `torch.distributed`; "own": this process by itself, which sends no
    message. Messages of "all" go through a group of their own, made at the first one, so that they cannot meet those of
    DDP or FSDP in another order in another process. A copy stands for the same processes; what is pickled with a group
    stands for "all" when it is read.
    """

    def __init__(self, group: Any = "all") -> None:
        self.group: Any = group

    def several(self) -> bool:
        """Whether there is more than one process."""
        if self.group == "own" or not (dist.is_available() and dist.is_initialized()):
            return False
        return dist.get_world_size(None if self.group == "all" else self.group) > 1

    def sum(self, *parts: Tensor) -> tuple[Tensor, ...]:
        """Each tensor summed over the processes, in one message, without gradient; of one process, the tensors."""
        if not self.several():
            return parts
        flat = torch.cat([part.detach().flatten() for part in parts])
        dist.all_reduce(flat, group=_group_of_all() if self.group == "all" else self.group)
        pieces = flat.split([part.numel() for part in parts])
        return tuple(piece.view_as(part).to(part.dtype) for piece, part in zip(pieces, parts, strict=True))

    def loss(self, of_sums: Callable[..., Tensor], *sums: Tensor) -> Tensor:
        """`of_sums(*sums)`, a scalar, whose gradient is that of one process with the tokens of all.

        The value is that of this process's own tokens at first: a forward pass sends no message. The backward pass
        sends one, of the sums (without gradient) and of what this loss weighs in the loss of each process; from then on
        the value in the returned tensor is that of all tokens. What each process makes of its gradient is put together
        as the rest of the gradient is: the mean of equal losses, as DDP and FSDP have it, or the sum of weighted ones.
        Hence each process must go backward from here as often as the others, and in the same order.
        """
        if self.several() and torch.is_grad_enabled() and any(part.requires_grad for part in sums):
            return self._of_all(of_sums, *sums)
        return of_sums(*sums)

    @_disable_dynamo  # messages and the value that the backward pass changes stay out of a graph
    def _of_all(self, of_sums: Callable[..., Tensor], *sums: Tensor) -> Tensor:
        return _OfAll.apply(of_sums, self, *sums)

    def __deepcopy__(self, memo: Any) -> Together:
        """The same processes."""
        return self

    def __reduce__(self) -> tuple[type[Together], tuple[str]]:
        """A process group cannot be written down."""
        return Together, (self.group if self.group == "own" else "all",)


ALL = Together()
"""Every process."""


def together_of(group: object) -> Together:
    """The processes of a group, "all" or "own".

    Raises:
        ModelError: anything else.
    """
    known = group in ("all", "own") if isinstance(group, str) else isinstance(group, getattr(dist, "ProcessGroup", ()))
    if not known:
        raise ModelError(f"group={group!r} must be 'all', 'own' or a process group of torch.distributed")
    return Together(group)


class _OfAll(torch.autograd.Function):
    """L = f(own sums); dL/d(own sums) = f'(sums over the processes) times the sum of dL over the processes."""

    @staticmethod
    def forward(ctx: Any, of_sums: Callable[..., Tensor], together: Together, *sums: Tensor) -> Tensor:
        """The value of the own tokens."""
        value = of_sums(*sums)
        ctx.save_for_backward(*sums)
        ctx.of_sums = of_sums
        ctx.together = together
        ctx.value = value.detach()  # the same memory
        return value

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        """The message, and the derivative at what it brings."""
        *sums, weight = ctx.together.sum(*ctx.saved_tensors, grad)
        with torch.enable_grad():
            sums = [part.detach().requires_grad_() for part in sums]
            value = ctx.of_sums(*sums)
            slopes = torch.autograd.grad(value, sums, weight.to(value.dtype), allow_unused=True)
        ctx.value.data.copy_(value.detach())
        return None, None, *slopes


def balance_together(model: nn.Module, group: dist.ProcessGroup | Literal["all", "own"]) -> None:
    """Say whose tokens the routers of a converted model are balanced over, losses and biases.

    By default all processes of `torch.distributed`, with which models that are trained one after the other do not mix:
    each backward pass has its own messages. A process group where not all processes train the same model at the same
    time: the data-parallel group of a pipeline stage, or of one of several models. "own" sends no message: for models
    that processes train each by itself, and for unequal numbers of batches (`torch.distributed.algorithms.join` knows
    nothing of these messages: without "own", a process that has ended is waited for). Call it in every process. A copy
    of the model keeps the choice, a saved one does not.

    Raises `ModelError` for anything else, and for a model without a router of ours.
    """
    together = together_of(group)
    found: list[Any] = [module for module in model.modules() if isinstance(getattr(module, "together", None), Together)]
    if not found:
        raise ModelError(f"{type(model).__name__} has no router of ours to balance")
    for module in found:
        module.together = together


_made: list[Any] = []
"""All processes as `torch.distributed` knows them, and the group made of them for the messages of this file."""


def _group_of_all() -> Any:
    world = dist.group.WORLD
    if not _made or _made[0] is not world:
        _made[:] = [world, dist.new_group()]
    return _made[1]
