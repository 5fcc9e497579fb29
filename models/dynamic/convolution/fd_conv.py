"""FDConv: a kernel whose parts have disjoint frequencies, each of which is weighed anew for each sample.

Chen et al., "Frequency Dynamic Convolution for Dense Image Prediction", CVPR 2025, arXiv 2503.18783. Many kernels from
the numbers of one, where DY-Conv has K times as many. Of the text the abstract could be read here; what it leaves open
is as in the released code, and here differs from that in this:

- The kernel is stored as it is, and transformed in each pass. In orthonormal coordinates that changes no training by
  gradient descent; the released half spectrum has 2 O h numbers more, and smaller steps for the same learning rate.
- Parts are real: mirrored frequencies are in one group, also on the edges of the half spectrum.
- All factors start at 1 and not near it. `blocks`, `shortcuts` and `last` choose the convolutions, and not the number
  of their channels; only those with one group of channels can be chosen.
- A band ends before its limit and not at it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site
from ...errors import ModelError
from ..config import DynamicConfig
from .attention import pooled
from .config import ConvConfig
from .forms import with_weights
from .frequencies import BandModulation, frequency_groups
from .geometry import Geometry
from .placing import convolution_sites, no_convolution

# Shapes: B samples, I inputs, O outputs, h x w a kernel, T = h w taps, G groups of frequencies, R hidden units.

FEWEST_HIDDEN = 16
"""Hidden units of the modulation, at least, in the released code."""


@dataclass(frozen=True, kw_only=True)
class FrequencyConfig(DynamicConfig):
    """FDConv in place of the convolutions of a network, which computes at first what it did.

    `num_kernels` and `noise` have no meaning here and keep their defaults; nothing is drawn, so that `seed` changes
    only how the hidden units of the modulation start.

    Attributes:
        groups: G, of frequencies, in each kernel; 64 in the released configurations.
        shortcuts: as in `ConvConfig`.
        last: as in `ConvConfig`.
        reduction: the hidden units of the modulation are its inputs divided by this, and 16 at least.

    Raises:
        ModelError: values that cannot work.
    """

    groups: int = 64
    shortcuts: bool = True
    last: bool = True
    reduction: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.groups < 1 or self.reduction < 1:
            raise ModelError(f"groups={self.groups}, reduction={self.reduction}: both are 1 or more")
        if self.num_kernels != DynamicConfig.num_kernels or self.noise != DynamicConfig.noise:
            raise ModelError("FDConv has groups, not kernels: give `groups`, not `num_kernels` or `noise`")


class Modulation(NamedTuple):
    """Factors of groups of frequencies (B, G), inputs (B, I), outputs (B, O) and taps (B, T), each around 1.

    `taps` is None for a kernel of one tap.
    """

    groups: Tensor
    inputs: Tensor
    outputs: Tensor
    taps: Tensor | None


class KernelModulation(nn.Module):
    """2 sigmoid(z) for each group of frequencies, input, output and tap (kernel spatial modulation, global branch).

    z is linear in StarReLU(BatchNorm(V pool(x))), StarReLU(a) = s relu(a)² + b (arXiv 2210.13452) with s = 1 and b = 0
    at the start. The last layers start at 0, so that all factors are 1.
    """

    def __init__(
        self, geometry: Geometry, channels: tuple[int, int], config: FrequencyConfig, generator: torch.Generator
    ) -> None:
        super().__init__()
        inputs, outputs = channels
        hidden = max(inputs // config.reduction, FEWEST_HIDDEN)
        self.squeeze = nn.Linear(inputs, hidden, bias=False)
        nn.init.kaiming_normal_(self.squeeze.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        self.norm = nn.BatchNorm1d(hidden)
        self.star = nn.Parameter(torch.tensor([1.0, 0.0]))
        self.groups = _zeros(hidden, config.groups)
        self.inputs = _zeros(hidden, inputs)
        self.outputs = _zeros(hidden, outputs)
        taps = math.prod(geometry.kernel)
        self.taps = None if taps == 1 else _zeros(hidden, taps)

    def forward(self, pooled_BI: Tensor) -> Modulation:
        """The factors of these samples. Raises `ModelError` for one image alone in training."""
        if self.training and pooled_BI.shape[0] == 1:
            raise ModelError("FDConv normalises its modulation over the batch: train it with at least 2 images at once")
        positive_BR = torch.relu(self.norm(self.squeeze(pooled_BI)))
        hidden_BR = self.star[0] * positive_BR**2 + self.star[1]
        return Modulation(
            groups=_about_one(self.groups(hidden_BR)),
            inputs=_about_one(self.inputs(hidden_BR)),
            outputs=_about_one(self.outputs(hidden_BR)),
            taps=None if self.taps is None else _about_one(self.taps(hidden_BR)),
        )


class EntryModulation(nn.Module):
    """2 sigmoid(z) for each entry of the kernel (kernel spatial modulation, local branch).

    z is a convolution, along the channels, of the normalised pooled input with a kernel for each output and tap. Its
    length is the odd number next to (log2 I + 1) / 2. It starts at 0, so that all factors are 1.
    """

    def __init__(self, inputs: int, outputs: int, taps: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(inputs)
        length = round((math.log2(inputs) + 1) / 2) // 2 * 2 + 1
        self.along = nn.Conv1d(1, outputs * taps, length, padding=length // 2, bias=False)
        nn.init.zeros_(self.along.weight)
        self.taps = taps

    def forward(self, pooled_BI: Tensor) -> Tensor:
        """(B, O, T, I)."""
        z_BNI = self.along(self.norm(pooled_BI)[:, None])
        return _about_one(z_BNI.unflatten(1, (-1, self.taps)))


class FDConv2d(nn.Module):
    """y = f ⊙ ((e ⊙ t ⊙ Σ_g π_g W_g) * (c ⊙ Σ_b A_b ⊙ x_b)) + bias.

    `weight` (parameter, (O, I, h, w)) is a matrix (O h, I w), whose spectrum is cut into G groups from low to high
    frequencies; W_g is the part of it with the frequencies of group g, so that Σ_g W_g = W. π (G), c (I), f (O) and
    t (T) come from `KernelModulation`, e (O, I, T) from `EntryModulation`; kernels larger than 1 x 1 have the
    `BandModulation` A of the maps. Where all factors are 1 this is the convolution with `weight`.

    A band of the kernel meets the same band of the maps alone, so that bands of one of them are bands of both. They are
    weighed before the convolution, as in the released code; we do not know whether the paper weighs them after it.

    Example: `FDConv2d(nn.Conv2d(64, 64, 3), FrequencyConfig(), torch.Generator())`.

    Raises `ModelError` for a convolution that is not plain or has groups of channels, and for more groups of
    frequencies than its kernel has numbers.
    """

    bias: nn.Parameter | None
    group: Tensor

    def __init__(
        self, conv: Any, config: FrequencyConfig, generator: torch.Generator, path: str = "the module"
    ) -> None:
        super().__init__()
        self.geometry = Geometry.of(conv, path)
        if self.geometry.groups != 1:
            raise ModelError(f"{path} has {self.geometry.groups} groups of channels: FDConv takes convolutions of one")
        if config.groups > conv.weight.numel():
            raise ModelError(f"{path} has {conv.weight.numel()} numbers, too few for groups={config.groups}")
        self.in_channels = conv.in_channels
        self.out_channels = conv.out_channels
        self.kernel_size = self.geometry.kernel
        self.groups = self.geometry.groups
        self.weight = nn.Parameter(conv.weight.detach().clone())
        self.register_parameter("bias", None)
        if conv.bias is not None:
            self.bias = nn.Parameter(conv.bias.detach().clone())
        height, width = self.kernel_size
        found = frequency_groups(self.out_channels * height, self.in_channels * width, config.groups)
        self.register_buffer("group", found, persistent=False)
        self.modulation = KernelModulation(self.geometry, (self.in_channels, self.out_channels), config, generator)
        self.entries = EntryModulation(self.in_channels, self.out_channels, height * width)
        self.bands = BandModulation(self.in_channels) if height * width > 1 else None

    def forward(self, x_BIHW: Tensor) -> Tensor:
        """(B, O, H', W'). Raises `ModelError` for an input that is not a batch of maps with this layer's channels."""
        if x_BIHW.dim() != 4 or x_BIHW.shape[1] != self.in_channels:
            raise ModelError(f"input {tuple(x_BIHW.shape)}: this convolution takes (batch, {self.in_channels}, h, w)")
        pooled_BI = pooled(x_BIHW)
        factors = self.modulation(pooled_BI)
        weight_BOIhw = self.sample_weights(pooled_BI, factors)
        if self.bands is not None:
            x_BIHW = self.bands(x_BIHW)
        x_BIHW = x_BIHW * factors.inputs[:, :, None, None]
        y_BOHW = with_weights(self.geometry.pad(x_BIHW), weight_BOIhw, self.geometry)
        y_BOHW = y_BOHW * factors.outputs[:, :, None, None]
        return y_BOHW if self.bias is None else y_BOHW + self.bias[:, None, None]

    def sample_weights(self, pooled_BI: Tensor, factors: Modulation) -> Tensor:
        """(B, O, I, h, w) the kernel of every sample, without the factors of inputs and outputs."""
        weight_BOTI = self.weighed(factors.groups) * self.entries(pooled_BI)
        if factors.taps is not None:
            weight_BOTI = weight_BOTI * factors.taps[:, None, :, None]
        return weight_BOTI.unflatten(2, self.kernel_size).permute(0, 1, 4, 2, 3).contiguous()

    def weighed(self, fractions_BG: Tensor) -> Tensor:
        """(B, O, T, I) Σ_g π_g W_g: by the spectra of the samples, or, where there are more of these, by the parts."""
        samples, groups = fractions_BG.shape
        if samples > groups or samples == 0:  # Fourier transforms want one matrix at least
            parts_GOTI = self.parts()
            return (fractions_BG @ parts_GOTI.flatten(1)).unflatten(1, parts_GOTI.shape[1:])
        return self._with_spectrum(fractions_BG[:, self.group])

    def parts(self) -> Tensor:
        """(G, O, T, I) the parts W_g of the kernel, one for each group of frequencies; their sum is the kernel."""
        groups = self.modulation.groups.out_features
        return self._with_spectrum(self.group == torch.arange(groups, device=self.group.device)[:, None, None])

    def _with_spectrum(self, factors: Tensor) -> Tensor:
        """(N, O, T, I) the kernel, whose spectrum is multiplied by factors (N, O h, I w // 2 + 1)."""
        height, width = self.kernel_size
        matrix = self.weight.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)
        # Fourier transforms of the processor know no half precision.
        spectrum = torch.fft.rfft2(matrix.to(torch.promote_types(matrix.dtype, torch.float32)))
        changed = torch.fft.irfft2(spectrum * factors, s=matrix.shape).to(matrix.dtype)
        cut = changed.unflatten(1, (self.out_channels, height)).unflatten(3, (self.in_channels, width))
        return cut.transpose(3, 4).flatten(2, 3)

    def extra_repr(self) -> str:
        """Sizes and geometry."""
        said = f"{self.in_channels}, {self.out_channels}, groups={self.modulation.groups.out_features}"
        return f"{said}, kernel_size={self.kernel_size}, stride={self.geometry.stride}"


def frequency_convolutions(anatomy: Anatomy, config: FrequencyConfig) -> list[tuple[Site, nn.Module]]:
    """The sites that `config` chooses, and an `FDConv2d` for each, which computes what lies there.

    Raises:
        ModelError: no convolution is there, or one cannot be an FDConv.
    """
    generator = torch.Generator().manual_seed(config.seed)
    where = ConvConfig(blocks=config.blocks, shortcuts=config.shortcuts, last=config.last)
    sites = convolution_sites(anatomy, where)
    if not sites:
        raise no_convolution(anatomy, config.blocks)
    plan: list[tuple[Site, nn.Module]] = []
    for site in sites:
        conv: Any = site.get()
        layer = FDConv2d(conv, config, generator, site.path)
        layer.to(device=conv.weight.device, dtype=conv.weight.dtype)
        plan.append((site, layer.train(conv.training)))
    return plan


def _zeros(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


def _about_one(z: Tensor) -> Tensor:
    """From 0 to 2, 1 at 0."""
    return 2 * torch.sigmoid(z)
