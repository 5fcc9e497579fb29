"""timm's CondConv networks (`tf_efficientnet_cc_b0_4e`, ...) as dynamic networks that can be partitioned.

Each block of theirs computes fractions of the kernels once, from its input, and hands them to its three convolutions
(arXiv 1904.04971, section 3.3). Blocks and routings stay as they are.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import ModelError, optional
from .config import DynamicConfig
from .conversion import REPLACEMENTS
from .convolution.base import DynamicConv2d
from .convolution.compact_form import compact_convolution
from .convolution.factors import Factors
from .convolution.forms import by_structure
from .convolution.geometry import Geometry

# Shapes: B samples, I inputs, O outputs, K kernels, J = I / groups.


@dataclass(frozen=True, kw_only=True)
class TimmCondConv(DynamicConfig):
    """Take the convolutions of a CondConv network of timm, trained or not, as they are.

    Options of `DynamicConfig` have no meaning here and keep their defaults. Where a partition makes all convolutions of
    a block static, the routing of that block has no gradient any more.

    Example::

        model = make_dynamic(timm.create_model("tf_efficientnet_cc_b0_4e", pretrained=True), TimmCondConv())
        report = partition(model, 0.3, batches=batches, loss_fn=loss)
        compact(model)
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        if any(getattr(self, field.name) != field.default for field in dataclasses.fields(self)):
            raise ModelError("TimmCondConv takes the kernels of a network as they are: it has no options")


class RoutedConv2d(DynamicConv2d):
    """y = (Σ_k π_k W_k) * x + Σ_k π_k b_k with fractions π that a block gives; they need not sum to 1.

    `at_rest` (buffer, (K,)): the fractions for an input of zeros, when the layer was made. A static weight starts as
    Σ_k at_rest_k W_k.
    """

    at_rest: Tensor

    def __init__(self, bank: Tensor, bias: Tensor | None, geometry: Geometry, at_rest_K: Tensor) -> None:
        super().__init__(bank, bias, geometry)
        self.register_buffer("at_rest", at_rest_K.detach().clone())

    @classmethod
    def of(cls, conv: Any, at_rest_K: Tensor) -> RoutedConv2d:
        """One that computes what a `CondConv2d` of timm does."""
        padding = (0, 0) if conv.dynamic_padding else tuple(conv.padding)
        geometry = Geometry(
            kernel=tuple(conv.kernel_size),
            stride=tuple(conv.stride),
            padding=padding,
            dilation=tuple(conv.dilation),
            groups=conv.groups,
            by_input=conv.dynamic_padding,
        )
        bank = conv.weight.unflatten(1, conv.weight_shape)
        return cls(bank, conv.bias, geometry, at_rest_K).train(conv.training)

    def forward(self, x_BIHW: Tensor, fractions_BK: Tensor) -> Tensor:  # type: ignore[override] - so calls timm
        """(B, O, H', W') of samples, with the fractions of the kernels that their block gives."""
        padded = self.geometry.pad(self.checked(x_BIHW))
        factors = Factors(kernels=fractions_BK)
        if self.compact is not None:
            y_BOHW = compact_convolution(self.compact, self.geometry, padded, fractions_BK, factors)
        else:
            y_BOHW = by_structure(self, padded, fractions_BK, factors)
        bias_BO = self.sample_biases(fractions_BK)
        if bias_BO is None:
            return y_BOHW
        return y_BOHW + bias_BO[:, :, None, None]

    def factors(self, x_BIHW: Tensor) -> Factors:
        """Raises `ModelError`: the fractions follow from the input of the block, which this layer does not see."""
        raise ModelError(f"a {type(self).__name__} gets the fractions of its kernels from its block")

    def static_start(self) -> Tensor:
        """(O, J, h, w) the sum of the kernels by `at_rest`."""
        return torch.tensordot(self.at_rest, self.bank.detach(), dims=1)


def take_cond_convs(model: nn.Module, config: TimmCondConv) -> None:
    """Replace every `CondConv2d` of a timm network, in place, by a layer of ours that computes the same.

    Args:
        model: a network with such layers.
        config: says no more than that.

    Raises:
        ModelError: there are none, or their block has no routing as timm's have; the model stays as it was.
    """
    with optional():
        from timm.layers.cond_conv2d import CondConv2d

    made: list[tuple[Any, str, RoutedConv2d]] = []
    for path, block in model.named_modules():
        for name, conv in block.named_children():
            if isinstance(conv, CondConv2d):
                made.append((block, name, RoutedConv2d.of(conv, _at_rest(block, f"{path}.{name}".lstrip(".")))))
    if not made:
        raise ModelError(f"this {type(model).__name__} has no CondConv2d of timm: ConvConfig is for plain convolutions")
    for block, name, layer in made:
        setattr(block, name, layer)


def _at_rest(block: Any, path: str) -> Tensor:
    """(K,) the fractions that a block gives for an input of zeros."""
    routing = getattr(block, "routing_fn", None)
    if not isinstance(routing, nn.Linear):
        raise ModelError(f"{path} lies in a {type(block).__name__}, which does not route as the blocks of timm do")
    return torch.sigmoid(routing.bias.detach())


REPLACEMENTS[TimmCondConv] = take_cond_convs
