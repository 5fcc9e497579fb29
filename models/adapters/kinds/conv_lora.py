"""LoRA on convolutions with a kernel: a convolution to r channels, then a pointwise one."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from ...errors import ModelError
from ...sparsity.masked import MaskedConv2d
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from .lora import LoRAConfig, LoRALayer


class ConvLoRALayer(LoRALayer):
    """W * x + s B (A * x) for a convolution W with kernel k: A (r, in, k, k) reaches as far as W, B (out, r, 1, 1)."""

    def __init__(self, base_layer: nn.Conv2d, config: LoRAConfig, generator: torch.Generator, path: str) -> None:
        AdapterLayer.__init__(self, base_layer)
        _check(base_layer, config.r, path)
        like: dict[str, Any] = {"device": base_layer.weight.device, "dtype": adapter_dtype(base_layer.weight)}
        reach: dict[str, Any] = {"stride": base_layer.stride, "padding": base_layer.padding}
        inputs, outputs = base_layer.in_channels, base_layer.out_channels
        down = MaskedConv2d(inputs, config.r, base_layer.kernel_size, bias=False, **reach, **like)
        up = MaskedConv2d(config.r, outputs, 1, bias=False, **like)
        initialise(down, up, config.init, generator)
        self.spans = ((0, outputs),)
        self.scaling = config.scaling
        self.dropout = nn.Dropout(config.dropout)
        self.lora_A = nn.ModuleList([down])
        self.lora_B = nn.ModuleList([up])
        self.is_conv = True

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """W <- W + s B A, in the precision of the adapter."""
        weight: Any = base_layer.weight
        down: Any = self.lora_A[0]
        up: Any = self.lora_B[0]
        update = torch.einsum("or,rikl->oikl", up.effective().flatten(1), down.effective())
        merged = weight.to(update.dtype) + self.scaling * update
        weight.copy_(merged)


def has_kernel(module: nn.Module) -> bool:
    """Whether a module is a convolution with more than one place in its kernel."""
    return isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1)


def _check(conv: nn.Conv2d, r: int, path: str) -> None:
    """Raise a `ModelError` for a convolution that the two of LoRA together cannot be."""
    plain = type(conv) is nn.Conv2d and conv.groups == 1 and conv.dilation == (1, 1) and conv.padding_mode == "zeros"
    if not plain:
        raise ModelError(f"{path}: LoRA works on plain convolutions, ungrouped and not dilated, not on {conv}")
    rank = min(conv.weight[0].numel(), conv.out_channels)
    if r > rank:
        raise ModelError(f"r={r} exceeds {rank}, the full rank of {path}: choose a smaller r")
