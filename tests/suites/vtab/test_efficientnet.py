"""EfficientNet-Lite bodies."""

import pytest
import torch

from sparsebench.suites.vtab.backbones import efficientnet_lite0


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("argument", ["big", "16", "-64"])
def test_bad_image_sizes(argument: str) -> None:
    with pytest.raises(ValueError, match="whole number from 32"):
        efficientnet_lite0.load(generator(), argument)


@pytest.mark.data
def test_lite0_carries_the_published_weights() -> None:
    body = efficientnet_lite0.load(generator(), "64")
    assert body.size == 64 and body.width == 1280
    assert sum(p.numel() for p in body.parameters()) == 4_652_008 - 1_281_000, "without the classifier"
    again = efficientnet_lite0.load(generator(), "96")
    assert again.network is not body.network and again.size == 96
