from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.fact import FacTConfig

Make = Callable[[str], nn.Module]


def tiles(layer: Any, width: int) -> Tensor:
    """scale V C U in every tile, C being the tile's part of `core`."""
    r, weight = layer.u.out_features, layer.base_layer.weight
    update = torch.zeros_like(weight)
    for row in range(weight.shape[0] // width):
        for column in range(weight.shape[1] // width):
            core = layer.core.weight[row * r : (row + 1) * r, column * r : (column + 1) * r]
            rows, columns = slice(row * width, (row + 1) * width), slice(column * width, (column + 1) * width)
            update[rows, columns] = layer.scale * layer.v.weight @ core @ layer.u.weight
    return update


@pytest.mark.parametrize("family", ["timm_vit", "vit_4d"])
def test_equals_the_formula(family: str, make: Make, shake: Callable) -> None:
    model = make(family).double()
    adapters = attach(model, FacTConfig(r=3, scale=0.5))
    shake(adapters)
    for _, layer in adapters.layers():
        x = torch.randn(2, 5, layer.base_layer.in_features, dtype=torch.float64)
        update = tiles(layer, 32)
        assert update.abs().min(dim=1).values.max() > 0
        torch.testing.assert_close(layer(x), layer.base_layer(x) + x @ update.T)
        expected = layer.base_layer.weight + update
        layer.merge()
        torch.testing.assert_close(layer.base_layer.weight.data, expected.data)


def test_factors_are_shared_and_cores_are_not(make: Make) -> None:
    layers = [layer for _, layer in attach(make("timm_vit"), FacTConfig(r=3)).layers()]
    assert len(layers) == 8
    assert len({id(layer.u) for layer in layers}) == len({id(layer.v) for layer in layers}) == 1
    assert len({id(layer.core) for layer in layers}) == 8
    assert [tuple(layer.core.shape) for layer in layers[:4]] == [(9, 3), (3, 3), (12, 3), (3, 12)]


def test_gradients_start_in_the_last_factor(make: Make, example: Callable) -> None:
    """V = 0 at the start: V alone has a gradient, after a step of it all have."""
    model = make("timm_vit")
    adapters = attach(model, FacTConfig(r=3))
    (_, first), *_ = adapters.layers()
    model(example(model)).square().sum().backward()
    assert first.v.weight.grad.abs().max() > 0 and first.u.weight.grad.abs().max() == 0
    first.v.weight.data.add_(first.v.weight.grad)
    model(example(model)).square().sum().backward()
    assert first.u.weight.grad.abs().max() > 0 and first.core.weight.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("vit", "mlp.fc1 is Linear.*multiples of the width 32; use LoRAConfig"),
        ("llama", "k_proj is Linear.*multiples of the width 32"),
        ("efficientnet", "is Conv2d.*FacT needs plain linear layers"),
    ],
)
def test_only_where_sizes_are_multiples_of_the_width(family: str, message: str, make: Make) -> None:
    with pytest.raises(ValueError, match=message):
        attach(make(family), FacTConfig())
