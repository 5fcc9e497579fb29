"""A loss that trains by itself: attached to what a layer puts out, it needs no place in the loss of the model.

The backward pass of the layer adds the gradient of its balance loss, whatever loss was made of the outputs of the
model: a loss of one's own on the logits, label smoothing, DPO, distillation. The layer's output stays what it was, to
the last bit. (Megatron-Core's `MoEAuxLossAutoScaler` attaches it to the router's weights. Where a process has none of
the chosen experts, these are in no graph; the layer's output always is.)

Each backward pass through a layer brings it once: of two for one forward pass, twice. How much it counts is said apart,
since no gradient tells: by `models.loss_scale.set_loss_scale`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...loss_scale import loss_scale
from .once_differentiable import once_differentiable
from .statistics import Routed


def attached(output: Tensor, loss: Tensor) -> Tensor:
    """`output`, whose gradient brings that of `loss`, a scalar, times `loss_scale()` along.

    Without gradients, or for a loss that has none, the output itself.
    """
    if not torch.is_grad_enabled() or not loss.requires_grad:
        return output
    return _Attached.apply(output, loss)


class _Attached(torch.autograd.Function):
    """The identity; dL/dloss = the scale of the time."""

    @staticmethod
    def forward(ctx: Any, output: Tensor, loss: Tensor) -> Tensor:
        """The output."""
        ctx.like = loss.new_empty(())
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor]:
        """The gradient as it is, and the scale."""
        return grad, scale_now(grad, ctx.like)


@torch.library.custom_op("sparsebench::loss_scale", mutates_args=())
def scale_now(grad: Tensor, like: Tensor) -> Tensor:
    """`loss_scale()` at the time of the call.

    An operator, since a compiled graph would take the number for a constant.

    Args:
        grad: any tensor of the backward pass, for which the operator waits; a compiler would put it into the forward
            pass otherwise.
        like: a scalar of the type and on the device of the loss.

    Returns:
        A scalar.
    """
    return torch.full_like(like, loss_scale())


@scale_now.register_fake
def _(grad: Tensor, like: Tensor) -> Tensor:
    return torch.empty_like(like)


def attached_first(output: Any, loss: Tensor) -> Any:
    """`attached` to the first of several outputs, or the only one."""
    if isinstance(output, tuple):
        return (attached(output[0], loss), *output[1:])  # pyright: ignore[reportCallIssue]
    return attached(output, loss)  # pyright: ignore[reportCallIssue]


def attach_balance(model: nn.Module) -> Callable[[], None]:
    """Attach the balance loss of each layer of ours to the layer; the function that takes it away again.

    `aux_loss(model)` is then a value without gradient.
    """
    hooks = []
    layers: list[Any] = [module for module in model.modules() if isinstance(module, Routed)]
    for layer in layers:
        hooks.append(layer.register_forward_hook(_attach))
        layer.router.attached = True

    def detach() -> None:
        for hook in hooks:
            hook.remove()
        for layer in layers:
            layer.router.attached = False

    return detach


def _attach(layer: Any, args: Any, output: Any) -> Any:
    if not layer.training or layer.aux is None:
        return None
    loss = layer.aux
    layer.aux = loss.detach()
    return attached_first(output, loss)
