"""Bi-AdaptFormer: the values of its matrices, their gradients, and how they start (the block: `test_released.py`)."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import BinaryConfig, attach
from sparsebench.models.adapters.kinds.binary import BinaryBottleneck, BinaryLinear
from sparsebench.models.errors import ModelError


def layer() -> BinaryLinear:
    made = BinaryLinear(30, 8).double()
    nn.init.normal_(made.weight, mean=0.2, std=0.7, generator=torch.Generator().manual_seed(0))
    return made


def test_a_weight_has_two_values() -> None:
    """The quartiles of a normal distribution with its mean and deviation, by the side of the mean it lies on."""
    made = layer()
    mean, deviation = made.weight.mean(), made.weight.std()
    found = made.binary()
    above = made.weight > mean
    low, high = found[~above], found[above]
    quartile = math.sqrt(2) * torch.special.erfinv(torch.tensor(0.5, dtype=torch.float64))
    torch.testing.assert_close(high, (mean + quartile * deviation).expand_as(high))
    torch.testing.assert_close(low, (mean - quartile * deviation).expand_as(low))


def test_the_sign_passes_the_gradient_on() -> None:
    """As the release has it: the gradient of m + s b with b taken for (W - m) / (s + eps) in the derivative."""
    made, slope = layer(), torch.randn(8, 30, dtype=torch.float64)
    (made.binary() * slope).sum().backward()
    weight = made.weight.detach().requires_grad_()
    mean, deviation = weight.mean(), weight.std()
    standard = (weight - mean) / (deviation + 1e-5)
    sign = 0.6744897501960817 * torch.sign(standard.detach())
    # d(b s + m) = db s + b ds + dm, with db that of the standardised weight and b the binary one.
    ((standard * deviation.detach() + sign * deviation + mean) * slope).sum().backward()
    torch.testing.assert_close(made.weight.grad, weight.grad)


def test_it_starts_as_the_release_does(make: Callable[[str], nn.Module]) -> None:
    model = make("timm_vit")
    attach(model, BinaryConfig(r=6, seed=1))
    (first, *_) = [module for module in model.modules() if isinstance(module, BinaryBottleneck)]
    down, up = first.down.weight.detach(), first.up.weight.detach()
    assert 0.8 * down.shape[1] ** -0.5 < float(down.abs().max()) <= down.shape[1] ** -0.5
    assert float(up.abs().max()) <= 0.002 and 0.0005 < float(up.std()) < 0.0015


@pytest.mark.parametrize(
    ("options", "message"), [({"r": 0}, "r=0 must be"), ({"scale": math.inf}, "scale=inf must be")]
)
def test_what_cannot_work(options: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        BinaryConfig(**options)
