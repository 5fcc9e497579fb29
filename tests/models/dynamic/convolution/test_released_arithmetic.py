"""The layers against the arithmetic of the released ones."""

import pytest

from ....speed.released import released
from .reference import SHAPES, dynamic, images, largest_difference, random_mask, shaken

SYMMETRIC = [name for name, shape in SHAPES.items() if shape.get("padding_mode") is None and name != "same"]


@pytest.mark.parametrize("kind", ["dy_conv", "cond_conv"])
@pytest.mark.parametrize("shape", SYMMETRIC)
def test_with_a_partition(shape: str, kind: str) -> None:
    layer, x = dynamic(shape, kind), images()
    layer.set_partition(random_mask(layer, "weight"))
    shaken(layer)
    assert largest_difference(layer(x), released(layer, x)) < 1e-12


@pytest.mark.parametrize("scale", ["both", "static", "dynamic", "none", "pruned"])
def test_every_scale(scale: str) -> None:
    """In the release "s" and "d" raise an error: they read `phi`, and the parameter is `phi_d`."""
    layer, x = dynamic("plain", "od_conv"), images()
    layer.set_partition(random_mask(layer, "row"), scale=scale)  # type: ignore[arg-type]
    shaken(layer)
    assert largest_difference(layer(x), released(layer, x)) < 1e-12


@pytest.mark.parametrize(("kind", "kernels"), [("dy_conv", 4), ("od_conv", 4), ("od_conv", 1)])
def test_without_a_partition(kind: str, kernels: int) -> None:
    layer, x = dynamic("plain", kind, num_kernels=kernels), images()
    assert largest_difference(layer(x), released(layer, x)) < 1e-12
