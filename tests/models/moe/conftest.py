"""A small FFN with calibration data, to be cut; random experts with tokens, and their slow reference."""

from collections.abc import Callable
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.calibration.hooks import FFNSample
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.experts.dispatch import Weights, run_experts
from sparsebench.models.moe.experts.native import Native, native, status
from sparsebench.models.moe.routing.start import Neurons
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
            neurons=Neurons(gate=gate, up=up, gate_bias=None, up_bias=None, activation=F.silu),
            down=down,
            sample=sample if sampled else None,
            document=torch.arange(40) // 2 if sampled else None,
            embedding=draw(20, width).float() if sampled else None,
            config=config,
            generator=torch.Generator().manual_seed(config.seed),
        )

    return build


class Case(NamedTuple):
    """Tokens x (T, D), their experts and weights (T, K), experts gate_up (N, 2M, D) and down (N, D, M)."""

    x: Tensor
    index: Tensor
    weight: Tensor
    gate_up: Tensor
    down: Tensor

    @property
    def weights(self) -> Weights:
        return Weights(self.gate_up, self.down, None, True, F.silu)

    def run(self) -> Tensor:
        """What the library makes of them."""
        return run_experts(self.x, self.index, self.weight, self.weights)

    def to(self, dtype: torch.dtype) -> "Case":
        """In another precision; the routing weights stay in float32 or better."""
        weight = self.weight.to(torch.promote_types(dtype, torch.float32))
        return Case(self.x.to(dtype), self.index, weight, self.gate_up.to(dtype), self.down.to(dtype))

    def oracle(self) -> Tensor:
        """Every expert on every token, in float64."""
        x, _, weight, gate_up, down = (tensor.double() for tensor in self)
        out = torch.zeros_like(x)
        for expert in range(len(down)):
            gate, up = (x @ gate_up[expert].T).chunk(2, dim=1)
            share = weight.where(self.index == expert, 0).sum(1, keepdim=True)
            out = out + share * ((F.silu(gate) * up) @ down[expert].T)
        return out

    def rounding(self) -> Tensor:
        """How far rounding may take an output from the oracle (T, D), on whatever processor: 5 standard deviations.

        A value v that is rounded to unit round-off u is off by u |v| / sqrt(3) on average, independently of the others,
        so squares add, and go through a matrix product with the squared weights. Matrix products add up in float32;
        their results, silu, the two products behind it and each sum over experts are rounded to the type of x.
        """
        stored = (torch.finfo(self.x.dtype).eps / 2) ** 2 / 3
        summed = (torch.finfo(torch.float32).eps / 2) ** 2 / 3
        x, _, weight, gate_up, down = (tensor.double() for tensor in self)
        width, hidden = down.shape[1:]
        square = torch.zeros_like(x)
        magnitude = torch.zeros_like(x)
        for expert in range(len(down)):
            inward = x @ gate_up[expert].T
            gate, up = inward.chunk(2, dim=1)
            off_inward = stored * inward**2 + width * summed * (x**2 @ (gate_up[expert] ** 2).T)
            off_gate, off_up = off_inward.chunk(2, dim=1)
            acted = F.silu(gate) * up
            steepest = 1.1  # of silu
            off_acted = steepest**2 * up**2 * off_gate + F.silu(gate) ** 2 * off_up + 4 * stored * acted**2
            out = acted @ down[expert].T
            squared_down = (down[expert] ** 2).T
            off_out = off_acted @ squared_down + hidden * summed * (acted**2 @ squared_down) + stored * out**2
            share = weight.where(self.index == expert, 0).sum(1, keepdim=True)
            square += share**2 * off_out
            magnitude += share * out.abs()
        square += (self.index.shape[1] + 1) * stored * magnitude**2
        return 5 * square.sqrt()


@pytest.fixture(scope="session")
def case() -> Callable[..., Case]:
    """`case(T, D, M, N, K)`: outputs are of size 1; with `drop`, some choices are "no expert"."""

    def build(
        tokens: int, width: int, hidden: int, experts: int, top_k: int, *, drop: bool = False, seed: int = 0
    ) -> Case:
        generator = torch.Generator().manual_seed(seed)

        def draw(*shape: int) -> Tensor:
            return torch.randn(*shape, generator=generator)

        index = torch.rand(tokens, experts + drop, generator=generator).topk(top_k, dim=1).indices
        weight = torch.rand(tokens, top_k, generator=generator)
        gate_up = draw(experts, 2 * hidden, width) / width**0.5
        return Case(draw(tokens, width), index, weight, gate_up, draw(experts, width, hidden) / hidden**0.5)

    return build


@pytest.fixture(scope="session")
def library() -> Native:
    """The C++ kernels; a test that asks for them is skipped where they cannot be built."""
    built = native()
    if built is None:
        pytest.skip(status())
    return built


@pytest.fixture(params=[torch.float32, torch.bfloat16], ids=str)
def dtype(request: pytest.FixtureRequest, library: Native) -> torch.dtype:
    """Of the kernels, where the processor has it."""
    if request.param not in library.dtypes:
        pytest.skip(f"the processor has no {request.param}")
    return request.param
