"""How much the mixed weight of a dynamic layer varies over the calibration inputs."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from ...sparsity.scoring import Evidence, calibration_losses
from ..layer import DynamicLayer

# Shapes: K kernels or experts, N samples or tokens, E entries of a weight.


class MixingMoments:
    """First and second moments of the weights by which a layer mixes its kernels, over all calls, in float64."""

    def __init__(self, layer: DynamicLayer) -> None:
        kernels = len(layer.bank)
        self.layer = layer
        self.count = 0
        self.sum_K = torch.zeros(kernels, dtype=torch.float64)
        self.products_KK = torch.zeros(kernels, kernels, dtype=torch.float64)

    @torch.no_grad()
    def see(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        """A hook before the layer's forward pass."""
        mixing_NK = self.layer.mixing_coefficients(inputs[0]).flatten(0, -2).double().cpu()
        self.count += len(mixing_NK)
        self.sum_K += mixing_NK.sum(0)
        self.products_KK += mixing_NK.T @ mixing_NK

    def variance(self) -> Tensor:
        """Variance of sum_k pi_k w_k for each entry w: w C w with C the covariance of the mixing weights pi."""
        mean_K = self.sum_K / self.count
        covariance_KK = self.products_KK / self.count - torch.outer(mean_K, mean_K)
        bank = self.layer.bank.detach()
        bank_KE = bank.flatten(1).double()
        # One product and a sum over kernels, instead of a weight for every input.
        variance_E = (covariance_KK.to(bank.device) @ bank_KE * bank_KE).sum(0)
        return variance_E.clamp_min(0).view(bank.shape[1:])


def variances(layers: Sequence[DynamicLayer], evidence: Evidence, criterion: str) -> list[Tensor]:
    """Of every entry of each layer's mixed dynamic weight, its variance over the calibration inputs, in eval mode."""
    moments = [MixingMoments(layer) for layer in layers]
    banks = [layer.bank for layer in layers]
    with ExitStack() as stack:
        losses = stack.enter_context(calibration_losses(banks, evidence, criterion))
        for one in moments:
            handle = one.layer.register_forward_pre_hook(one.see)
            stack.callback(handle.remove)
        for _ in losses():
            continue  # only what the layers are called with counts
    return [one.variance() for one in moments]
