import dataclasses
from collections.abc import Callable

import pytest
import torch

from sparsebench.models.calibration.coverage import LayerCoverage, coverage
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.errors import ModelError


def test_tokens_by_expert_and_those_under_the_floor(build: Callable) -> None:
    layers = mixture_statistics(build("mixtral"), [torch.arange(3, 11)[None]])
    layers[0] = dataclasses.replace(layers[0], counts=torch.tensor([5, 0, 9, 2]))
    found = coverage(layers, floor=3)
    assert found[0] == LayerCoverage("model.layers.0.mlp", (5, 0, 9, 2), (1, 3))
    assert str(found[0]) == "model.layers.0.mlp: 0 to 9 tokens an expert; too few for 1, 3"
    assert sum(found[1].tokens) == 16
    assert coverage(layers)[0].under == (1,)
    assert str(LayerCoverage("a", (4, 5), ())) == "a: 4 to 5 tokens an expert"


def test_a_floor_below_one_is_refused() -> None:
    with pytest.raises(ModelError, match="floor=0 must be 1 or more"):
        coverage([], floor=0)
