"""A dynamic layer that is nothing but its formula, and a small model of two of them, in float64."""

from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.layer import DynamicLayer


class ToyDynamic(DynamicLayer):
    """y_b = W(x_b) x_b, W(x) mixed by a softmax of a linear map of x: the formula, sample by sample."""

    def __init__(self, kernels: int, outputs: int, inputs: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(torch.randn(kernels, outputs, inputs, generator=generator, dtype=torch.float64))
        self.route = nn.Linear(inputs, kernels).double()
        for parameter in self.route.parameters():
            parameter.data.normal_(generator=generator)

    def mixing(self, x_BI: Tensor) -> Tensor:
        return torch.softmax(self.route(x_BI), -1)

    def forward(self, x_BI: Tensor) -> Tensor:
        weight_BOI = self.mix(self.mixing(x_BI))
        return (weight_BOI @ x_BI.unsqueeze(-1)).squeeze(-1)


def toy(seed: int = 0) -> nn.Sequential:
    """5 -> 6 -> 3, with dropout between, which scores must not see."""
    return nn.Sequential(ToyDynamic(3, 6, 5, seed), nn.Dropout(0.5), nn.Tanh(), ToyDynamic(2, 3, 6, seed + 1))


def batches(count: int = 2, seed: int = 7) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(4, 5, generator=generator, dtype=torch.float64) for _ in range(count)]


def loss(model: nn.Module, batch: Any) -> Tensor:
    return (model(batch) - 1).square().mean()


def copies(model: nn.Module) -> nn.Module:
    """Every kernel becomes a copy of the first one of its layer."""
    for layer in model.modules():
        if isinstance(layer, DynamicLayer):
            layer.bank.data.copy_(layer.bank.data[:1].expand_as(layer.bank).clone())
    return model
