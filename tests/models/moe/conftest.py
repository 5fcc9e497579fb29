"""A small FFN with calibration data, to be cut."""

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.recording import FFNSample
from sparsebench.models.moe.splits import SplitInput


@pytest.fixture(scope="session")
def ffn_input() -> Callable[..., SplitInput]:
    """`ffn_input(config)`: a random gated FFN in float64, 40 tokens of 20 examples, loss gradients included."""

    def build(config: MoEConfig, hidden: int = 50, sampled: bool = True, seed: int = 0, width: int = 12) -> SplitInput:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64)

        gate, up, down, x = draw(hidden, width), draw(hidden, width), draw(width, hidden), draw(40, width)
        sample = FFNSample(x, F.silu(x @ gate.T) * (x @ up.T), draw(40, hidden))
        return SplitInput(
            gate=gate,
            up=up,
            down=down,
            activation=F.silu,
            gated=True,
            sample=sample if sampled else None,
            document=torch.arange(40) // 2 if sampled else None,
            embedding=draw(20, width).float() if sampled else None,
            config=config,
            generator=torch.Generator().manual_seed(config.seed),
        )

    return build
