from typing import Any

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from sparsebench.models.dynamic.convolution import Geometry
from sparsebench.models.errors import ModelError

from .reference import SHAPES, images, plain


@pytest.mark.parametrize("shape", SHAPES)
def test_the_convolution_it_was_read_from(shape: str) -> None:
    conv, x = plain(shape), images()
    geometry = Geometry.of(conv)
    padded = geometry.pad(x)
    y = geometry.conv2d(padded, conv.weight, conv.bias)
    assert torch.equal(y, conv(x))
    assert geometry.size_after(padded) == tuple(y.shape[-2:])


@pytest.mark.parametrize("size", [7, 8, 9])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 2), (5, 2), (2, 1), (1, 2)])
def test_padding_by_the_size_of_the_input(size: int, kernel: int, stride: int) -> None:
    conv: Any = Conv2dSame(6, 4, kernel, stride).double()
    x = images(size=size)
    geometry = Geometry.of(conv)
    padded = geometry.pad(x)
    torch.testing.assert_close(geometry.conv2d(padded, conv.weight, conv.bias), conv(x))
    assert not geometry.is_pointwise


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_padding_that_differs_from_side_to_side() -> None:
    conv, x = nn.Conv2d(6, 4, 4, padding="same").double(), images()
    geometry = Geometry.of(conv)
    assert sorted(geometry.surround) == [1, 1, 2, 2] and geometry.padding == (0, 0)
    torch.testing.assert_close(geometry.conv2d(geometry.pad(x), conv.weight, conv.bias), conv(x))


def test_only_plain_convolutions() -> None:
    with pytest.raises(ModelError, match=r"stage\.0 is a Linear: only an nn\.Conv2d"):
        Geometry.of(nn.Linear(2, 2), "stage.0")
    with pytest.raises(ModelError, match="ParametrizedConv2d"):
        Geometry.of(nn.utils.parametrizations.weight_norm(nn.Conv2d(2, 2, 1)))
