"""Tiny converted decoders as the stock architectures see them."""

from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.stock_export.source import Source


@pytest.fixture
def source(build: Callable[[str], nn.Module]) -> Callable[..., Source]:
    """`source(family, **fields)`: a tiny decoder of the family, converted by `MoEConfig(**fields)`."""

    def make(family: str = "llama", **fields: Any) -> Source:
        return Source.of(convert(build(family), MoEConfig(**fields)))

    return make
