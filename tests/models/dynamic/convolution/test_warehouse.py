from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.dynamic.convolution import Geometry
from sparsebench.models.dynamic.convolution.warehouse import CellAttention, Warehouse, WarehouseConv2d, release_cells
from sparsebench.models.errors import ModelError

from .reference import SHAPES, convolved, images, largest_difference, plain, shaken


def layer(shape: str, fixed_share: float) -> Any:
    """Kernels of two cells from a warehouse of three."""
    conv = plain(shape)
    cells = torch.randn(3, conv.weight.numel() // 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    attention = CellAttention(6, torch.tensor([0, 2]), 3, torch.Generator().manual_seed(0)).double()
    made = WarehouseConv2d(Warehouse(cells), conv.weight.shape, conv.bias, Geometry.of(conv), attention)
    shaken(made)
    release_cells(made, fixed_share)
    return made


def test_against_the_reference(subtests: pytest.Subtests) -> None:
    """α = τ β + (1 - τ) z / Σ|z|, each cell by itself, sample by sample, in float64."""
    for shape in SHAPES:
        for fixed_share in [1.0, 0.25, 0.0]:
            with subtests.test(shape=shape, fixed_share=fixed_share):
                made, x = layer(shape, fixed_share), images()
                attention = made.attention
                results = []
                for image in x:
                    hidden = (attention.squeeze.weight @ image.mean((1, 2))).clamp(min=0)
                    z = (attention.excite.weight @ hidden + attention.excite.bias).view(2, 3)
                    cells = []
                    for place, home in enumerate((0, 2)):
                        alpha = (1 - fixed_share) * z[place] / z[place].abs().sum()
                        alpha[home] += fixed_share
                        cells.append(sum(alpha[number] * made.warehouse.cells[number] for number in range(3)))
                    results.append(convolved(plain(shape), image, torch.cat(cells).view(made.weight_shape), made.bias))
                assert largest_difference(made(x), torch.stack(results)) < 1e-12


def test_weights_may_be_negative() -> None:
    alpha = layer("plain", 0.0).attention(images())
    assert alpha.min() < 0
    torch.testing.assert_close(alpha.abs().sum(-1), torch.ones(3, 2, dtype=torch.float64))


def test_what_cannot_be_released() -> None:
    with pytest.raises(ModelError, match="fixed_share=2"):
        release_cells(layer("plain", 1.0), 2)
    with pytest.raises(ModelError, match="this Linear has no kernels from a warehouse"):
        release_cells(nn.Linear(2, 2), 0)
    with pytest.raises(ModelError, match=r"takes \(batch, 6, h, w\)"):
        layer("plain", 1.0)(images(channels=5))
