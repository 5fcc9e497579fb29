"""Small models in float64: of dynamic layers that are nothing but their formula, and of two ODConvs."""

from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.dynamic.convolution import ConvConfig, ODConv2d
from sparsebench.models.dynamic.layer import DynamicLayer

STEP = 1e-6


class ToyDynamic(DynamicLayer):
    """y_b = W(x_b) x_b, W(x) mixed by a softmax of a linear map of x: the formula, sample by sample."""

    def __init__(self, kernels: int, outputs: int, inputs: int, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        super().__init__(torch.randn(kernels, outputs, inputs, generator=generator, dtype=torch.float64))
        self.route = nn.Linear(inputs, kernels).double()
        for parameter in self.route.parameters():
            parameter.data.normal_(generator=generator)

    def mixing_coefficients(self, x_BI: Tensor) -> Tensor:
        return torch.softmax(self.route(x_BI), -1)

    def forward(self, x_BI: Tensor) -> Tensor:
        weight_BOI = self.sample_weights(self.mixing_coefficients(x_BI))
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


FACTORS = {"0.attention.inputs": 4, "0.attention.outputs": 6, "0.attention.taps": 9}
FACTORS |= {"2.attention.inputs": 6, "2.attention.outputs": 3}
"""The attentions of `od_toy` and how many factors each has: 28 in all."""


def od_toy(*, trained: bool = True, kernels: int = 2) -> nn.Sequential:
    """4 -> 6 (3 x 3) -> 3 (1 x 1) channels; `trained`: nothing is as it starts, and factors depend on the input."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        convolutions = [nn.Conv2d(4, 6, 3, padding=1), nn.Conv2d(6, 3, 1)]
    config = ConvConfig(kind="od_conv", num_kernels=kernels, temperature=2.0)
    generator = torch.Generator().manual_seed(1)
    layers = [ODConv2d.of(conv, config, generator).double() for conv in convolutions]
    if trained:
        for layer in layers:
            for parameter in layer.parameters():
                noise = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
                parameter.data += 0.4 * noise
    return nn.Sequential(layers[0], nn.Tanh(), layers[1])


def image_batches(count: int = 2, seed: int = 7) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(3, 4, 5, 5, generator=generator, dtype=torch.float64) for _ in range(count)]


def total_loss(model: nn.Module, data: list[Tensor] | None = None) -> float:
    """In eval mode, over `batches()` unless others are given."""
    model.eval()
    with torch.no_grad():
        return sum(loss(model, batch).item() for batch in data or batches())


def by_differences(model: nn.Module, tensor: Tensor, data: list[Tensor] | None = None) -> Tensor:
    """dL/dtensor, entry by entry."""
    found = torch.zeros_like(tensor)
    for place in range(tensor.numel()):
        flat, out = tensor.detach().view(-1), found.view(-1)
        kept = flat[place].item()
        flat[place] = kept + STEP
        above = total_loss(model, data)
        flat[place] = kept - STEP
        below = total_loss(model, data)
        flat[place] = kept
        out[place] = (above - below) / (2 * STEP)
    return found.detach()
