import dataclasses

import pytest
import torch

from sparsebench.models.dynamic.convolution.factors import Factors

from .reference import dynamic, images, largest_difference


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Factors)])
def test_none_is_one_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without one of the factors a layer computes what it does with ones in its place."""
    kernels = {"kernels": 1}.get(name, 3)
    layer, x = dynamic("plain", "od_conv", num_kernels=kernels), images()
    factors = layer.factors(x)
    size = {"kernels": 1, "taps": 9, "inputs": 6, "outputs": 8}[name]
    results = []
    for value in (None, torch.ones(3, size, dtype=torch.float64)):
        changed = dataclasses.replace(factors, **{name: value})
        monkeypatch.setattr(layer, "factors", lambda _, changed=changed: changed)
        results.append(layer(x))
    assert largest_difference(results[0], results[1]) < 1e-12
