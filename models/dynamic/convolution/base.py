"""What all dynamic convolutions have in common."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor

from ...errors import ModelError
from ..layer import DynamicLayer
from .compact_form import compact_convolution
from .factors import Factors
from .forms import by_structure
from .geometry import Geometry

# Shapes: B samples, I input channels, H height, W width, O outputs, K kernels, J = I / groups.


class DynamicConv2d(DynamicLayer):
    """A convolution whose kernel is made for each sample; stands wherever the `nn.Conv2d` stood.

    `bank`: (K, O, J, kernel height, kernel width). A subclass says in `factors` what its attentions make of the input.

    Raises `ModelError` for a bank that does not fit the geometry.
    """

    def __init__(self, bank: Tensor, bias: Tensor | None, geometry: Geometry) -> None:
        if bank.dim() != 5 or tuple(bank.shape[3:]) != geometry.kernel or bank.shape[1] % geometry.groups:
            raise ModelError(
                f"a bank of {tuple(bank.shape)} for kernels of {geometry.kernel} in {geometry.groups} groups: it is "
                "(kernels, outputs, inputs of a group, height, width)"
            )
        super().__init__(bank, bias)
        self.geometry = geometry
        self.in_channels = bank.shape[2] * geometry.groups
        self.out_channels = bank.shape[1]
        self.kernel_size = geometry.kernel
        self.stride = geometry.stride
        self.padding = geometry.padding
        self.dilation = geometry.dilation
        self.groups = geometry.groups

    def factors(self, x_BIHW: Tensor) -> Factors:
        """What the attentions say about these samples."""
        raise NotImplementedError

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, O, H', W')."""
        x_BIHW = self.checked(x_BIHW)
        factors = self.factors(x_BIHW)
        if factors.inputs is not None:
            x_BIHW = x_BIHW * factors.inputs[:, :, None, None]
        fractions_BK = self._fractions(factors, x_BIHW)
        padded = self.geometry.pad(x_BIHW)
        if self.compact is not None:
            y_BOHW = compact_convolution(self.compact, self.geometry, padded, fractions_BK, factors)
        else:
            y_BOHW = by_structure(self, padded, fractions_BK, factors)
        bias_BO = self.sample_biases(fractions_BK)
        if bias_BO is not None:
            y_BOHW = y_BOHW + bias_BO[:, :, None, None]
        if factors.outputs is not None:
            y_BOHW = y_BOHW * factors.outputs[:, :, None, None]
        return y_BOHW

    def mixing_coefficients(self, x: Tensor) -> Tensor:
        """(B, K) the fractions of the kernels for maps (B, I, H, W); 1 where there is one kernel."""
        return self._fractions(self.factors(x), x)

    def _fractions(self, factors: Factors, x_BIHW: Tensor) -> Tensor:
        if factors.kernels is not None:
            return factors.kernels
        return x_BIHW.new_ones(x_BIHW.shape[0], 1)

    def checked(self, x_BIHW: Tensor) -> Tensor:
        """The input.

        Raises:
            ModelError: it is not a batch of maps with this layer's channels.
        """
        if x_BIHW.dim() != 4 or x_BIHW.shape[1] != self.in_channels:
            raise ModelError(f"input {tuple(x_BIHW.shape)}: this convolution takes (batch, {self.in_channels}, h, w)")
        return x_BIHW

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> DynamicConv2d:
        """Weights stay row by row in memory, where they are mixed, whatever format the model is put into."""
        return super()._apply(partial(_row_by_row, fn), recurse)

    def extra_repr(self) -> str:
        """Sizes, kernels and geometry."""
        said = f"{self.in_channels}, {self.out_channels}, kernels={self.num_kernels}, kernel_size={self.kernel_size}"
        return f"{said}, stride={self.stride}, groups={self.groups}"


def _row_by_row(fn: Callable[[Tensor], Tensor], tensor: Tensor) -> Tensor:
    """What `fn` makes of a tensor; of a bank, whose five dimensions have no `torch.channels_last`, kernel by kernel."""
    if tensor.dim() < 4:
        return fn(tensor)
    return fn(tensor.flatten(0, -4)).unflatten(0, tensor.shape[:-3]).contiguous()
