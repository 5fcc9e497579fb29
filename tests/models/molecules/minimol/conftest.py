"""A small MiniMol with random weights, and the released one where its package is in the cache."""

import pytest
import torch

from sparsebench.data.errors import DataError
from sparsebench.data.sources import path
from sparsebench.models.molecules.minimol import MiniMol, PretrainedMiniMol, load_minimol

from ...oracles.oracle import Oracle
from .sizes import SMALL


@pytest.fixture
def small() -> MiniMol:
    """With norms that are not what they were made with."""
    network = MiniMol(SMALL)
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.LayerNorm):
            module.weight.data.uniform_(0.5, 1.5, generator=generator)
            module.bias.data.normal_(0.0, 0.3, generator=generator)
    return network.eval()


@pytest.fixture(scope="session")
def released() -> PretrainedMiniMol:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SPARSEBENCH_OFFLINE", "1")
        try:
            file = path("minimol", "weights")
        except DataError as error:
            pytest.skip(f"the released weights are not here: {error}")
    return load_minimol(file)


@pytest.fixture(scope="session")
def oracle() -> Oracle:
    return Oracle("minimol.safetensors")
