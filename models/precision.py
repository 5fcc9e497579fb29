"""The dtype of whole models, and half precision for what is frozen beside single precision for what is trained."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .anatomy import describe, is_linear
from .errors import ModelError


class CastingLinear(nn.Linear):
    """`nn.Linear` that takes an input of any floating dtype to that of its weight."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (..., in) to (..., out)."""
        return F.linear(input.to(self.weight.dtype), self.weight, self.bias)


class CastingConv2d(nn.Conv2d):
    """`nn.Conv2d` that takes an input of any floating dtype to that of its weight."""

    def forward(self, input: Tensor) -> Tensor:
        """Map (batch, in, height, width) to (batch, out, height, width)."""
        return self._conv_forward(input.to(self.weight.dtype), self.weight, self.bias)


def cast(model: nn.Module, dtype: torch.dtype) -> nn.Module:
    """Cast parameters and stored buffers to a floating dtype, in place, and return the model.

    Buffers that no file holds stay: `model.to(torch.bfloat16)` would round the frequencies of rotary positions, which
    transformers keep in float32 in a model of any dtype, and move a token at position 500 by a sixth of a radian.
    """
    for module in model.modules():
        for parameter in module._parameters.values():
            if parameter is not None and parameter.is_floating_point():
                parameter.data = parameter.data.to(dtype)
        for name, buffer in module._buffers.items():
            stored = name not in module._non_persistent_buffers_set
            if buffer is not None and stored and buffer.is_floating_point():
                module._buffers[name] = buffer.to(dtype)
    return model


def half_frozen(model: nn.Module) -> nn.Module:
    """Cast the frozen parameters of a transformer to bfloat16, in place.

    What is trained stays as it is, in float32: attach adapters first; they compute in the dtype of their input. The
    forward pass needs no autocast: images are cast where they enter, features where they enter the head, so a trained
    head gives float32 logits. Modules and names of parameters stay; the linear layers of the head and the convolution
    of the patches change their class. Buffers stay too.

    Args:
        model: a transformer with frozen parameters.

    Returns:
        The model.

    Raises:
        ModelError: a module holds both frozen and trained parameters, or nothing is frozen. The model stays as it was.
    """
    anatomy = describe(model)
    for name, module in model.named_modules():
        flags = {parameter.requires_grad for parameter in module._parameters.values() if parameter is not None}
        if len(flags) > 1 and isinstance(module, nn.Linear | nn.Conv2d):
            raise ModelError(f"{name} is frozen in part: half_frozen works on whole modules")
    frozen = [parameter for parameter in model.parameters() if not parameter.requires_grad]
    if not any(parameter.is_floating_point() for parameter in frozen):
        raise ModelError(f"no parameter of {type(model).__name__} is frozen: freeze or attach adapters first")
    for parameter in frozen:
        if parameter.is_floating_point():
            parameter.data = parameter.data.to(torch.bfloat16)
    for site in anatomy.embeddings:
        embedding = site.get()
        if isinstance(embedding, nn.Module):  # the others are parameters, which are added to what is cast
            _cast_inputs(embedding)
    for head in anatomy.heads:
        _cast_inputs(head.get())
    return model


def _cast_inputs(part: Any) -> None:
    for module in part.modules():
        if is_linear(module):
            module.__class__ = CastingLinear
        elif type(module) is nn.Conv2d:
            module.__class__ = CastingConv2d
