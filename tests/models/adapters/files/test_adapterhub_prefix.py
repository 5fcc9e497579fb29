"""A prefix for all blocks in one tensor, taken apart and put together."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.adapters import PrefixConfig, attach
from sparsebench.models.adapters.files.adapterhub_prefix import read_prefix, written_prefix
from sparsebench.models.errors import ModelError

from ..conftest import noise


@pytest.mark.parametrize("bottleneck", [None, 3])
def test_there_and_back(bottleneck: int | None, build: Callable) -> None:
    adapters = attach(build("bert"), PrefixConfig(length=2, bottleneck=bottleneck, train_head=False))
    noise(adapters.parameters())
    layers = [layer for _, layer in adapters.layers()]
    tensors = written_prefix(layers)  # type: ignore[arg-type]
    state = read_prefix(tensors, layers)  # type: ignore[arg-type]
    own = adapters.state_dict()
    assert state.keys() == own.keys() and all(torch.equal(state[key], own[key]) for key in own)
    name = "control_trans" if bottleneck is None else "control_trans.2.bias"
    with pytest.raises(ModelError, match=r"the prefix holds|rows, not 2 times 64"):
        read_prefix(tensors | {name: torch.ones(5)}, layers)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match=r"the prefix holds \['more'"):
        read_prefix({"more": torch.ones(1)}, layers)  # type: ignore[arg-type]
