"""A mixture by itself, in float64, with a router that prefers some experts."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts import ExpertBank
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.router import LinearRouter

WIDTH = 6
HIDDEN = 16


@pytest.fixture(scope="session")
def mixture() -> Callable[..., MoEFFN]:
    """`mixture(config)`: 4 experts of 4 neurons unless the configuration says otherwise, in training mode."""

    def build(config: MoEConfig) -> MoEFFN:
        generator = torch.Generator().manual_seed(0)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        groups = torch.arange(HIDDEN).chunk(config.num_routed)
        experts = ExpertBank.of(
            groups, gate=draw(HIDDEN, WIDTH), up=draw(HIDDEN, WIDTH), down=draw(WIDTH, HIDDEN), activation=F.silu
        )
        layer = MoEFFN(
            config=config,
            router=LinearRouter(config, draw(config.num_routed, WIDTH)),
            experts=experts,
            shared=None,
            down_bias=None,
            neurons=torch.arange(HIDDEN),
            hidden=HIDDEN,
            template=(),
        )
        return layer.train()

    return build


@pytest.fixture(scope="session")
def tokens() -> Callable[..., Tensor]:
    """`tokens(T)`: inputs of such a mixture (T, D)."""

    def draw(count: int, seed: int = 0) -> Tensor:
        return torch.randn(count, WIDTH, generator=torch.Generator().manual_seed(seed + 1), dtype=torch.float64)

    return draw
