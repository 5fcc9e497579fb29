"""A dynamic convolution in the arithmetic of the code that PAD-Net's authors released.

Every kernel is multiplied with its share and the products are summed, all of them held at once; mask and scales come
after the sum; then one grouped convolution. As slow as it is there: what speed is compared with.
"""

from functools import partial
from typing import TypeVar

from torch import Tensor

from sparsebench.models.dynamic.convolution import DynamicConv2d
from sparsebench.models.dynamic.convolution.factors import Factors

D = TypeVar("D", bound=DynamicConv2d)

# Shapes: B samples, I inputs, O outputs, K kernels, J inputs of a group, h x w a kernel.


def as_released(layer: D) -> D:
    """The same layer, computed as there from now on."""
    layer.forward = partial(released, layer)  # type: ignore[method-assign]
    return layer


def released(layer: DynamicConv2d, x_BIHW: Tensor) -> Tensor:
    """(B, O, H', W') of a layer."""
    factors = layer.factors(x_BIHW)
    if factors.inputs is not None:
        x_BIHW = x_BIHW * factors.inputs[:, :, None, None]
    y_BOHW = _convolution(layer, x_BIHW, factors)
    if factors.outputs is not None:
        y_BOHW = y_BOHW * factors.outputs[:, :, None, None]
    return y_BOHW


def _convolution(layer: DynamicConv2d, x_BIHW: Tensor, factors: Factors) -> Tensor:
    batch = x_BIHW.shape[0]
    padded = layer.geometry.pad(x_BIHW)
    weight_BOJhw = _weights(layer, batch, factors)
    bias = None
    if layer.bias is not None:
        shares_BK1 = _fractions(layer, batch, factors)[:, :, None]
        bias = (layer.bias[None] * shares_BK1).sum(1).flatten()
    side_by_side = padded.reshape(1, -1, *padded.shape[2:])
    y = layer.geometry.conv2d(side_by_side, weight_BOJhw.flatten(0, 1), bias, copies=batch)
    return y.view(batch, -1, *y.shape[2:])


def _weights(layer: DynamicConv2d, batch: int, factors: Factors) -> Tensor:
    """(B, O, J, h, w)."""
    products = layer.bank * _fractions(layer, batch, factors)[:, :, None, None, None, None]
    if factors.taps is not None:
        products = products * factors.taps.view(batch, 1, 1, 1, *layer.kernel_size)
    dynamic = products.sum(1)
    partition = layer.partition
    if partition is None:
        return dynamic
    mask = partition.mask[None].to(dynamic.dtype)
    weight = mask * dynamic * partition.lambda_dynamic
    if partition.scale == "pruned":
        return weight
    return weight + partition.static[None] * (1 - mask) * partition.lambda_static


def _fractions(layer: DynamicConv2d, batch: int, factors: Factors) -> Tensor:
    if factors.kernels is not None:
        return factors.kernels
    return layer.bank.new_ones(batch, 1)
