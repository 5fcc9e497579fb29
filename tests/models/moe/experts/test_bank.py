import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsebench.models.moe.experts import ExpertBank


def bank(sizes: tuple[int, ...], gated: bool, bias: bool, width: int = 6) -> ExpertBank:
    generator = torch.Generator().manual_seed(0)

    def draw(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    hidden = sum(sizes)
    return ExpertBank.of(
        torch.arange(hidden).split(list(sizes)),
        gate=draw(hidden, width) if gated else None,
        up=draw(hidden, width),
        down=draw(width, hidden),
        gate_bias=draw(hidden) if bias and gated else None,
        up_bias=draw(hidden) if bias else None,
        activation=nn.functional.silu,
    )


def oracle(experts: ExpertBank, x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Token by token, expert by expert."""
    out = torch.zeros_like(x)
    for t, k in ((t, k) for t in range(index.shape[0]) for k in range(index.shape[1])):
        e = int(index[t, k])
        if e == len(experts.sizes):
            continue
        gate, up, down, gate_bias, up_bias, _ = experts.weights(e)
        hidden = up @ x[t] if up_bias is None else up @ x[t] + up_bias
        if gate is None:
            hidden = nn.functional.silu(hidden)
        else:
            hidden = nn.functional.silu(gate @ x[t] + (0 if gate_bias is None else gate_bias)) * hidden
        out[t] += weight[t, k] * (down @ hidden)
    return out


@settings(deadline=None, max_examples=40)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=5).map(tuple),
    tokens=st.integers(0, 7),
    gated=st.booleans(),
    bias=st.booleans(),
    data=st.data(),
)
def test_equals_the_loop(sizes: tuple[int, ...], tokens: int, gated: bool, bias: bool, data: st.DataObject) -> None:
    experts = bank(sizes, gated, bias)
    top_k = data.draw(st.integers(1, len(sizes)))
    generator = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    x = torch.randn(tokens, 6, generator=generator, dtype=torch.float64)
    places = len(sizes) + data.draw(st.integers(0, 1))  # with one more place, some tokens have no expert
    index = torch.rand(tokens, places, generator=generator).topk(top_k, dim=1).indices
    weight = torch.rand(tokens, top_k, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(experts(x, index, weight), oracle(experts, x, index, weight), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("tokens", [1, 4])
def test_gradients(tokens: int) -> None:
    experts = bank((3, 2, 2), gated=True, bias=False)
    x = torch.randn(tokens, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(tokens, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[0, 2]]).expand(tokens, 2)
    assert torch.autograd.gradcheck(lambda *inputs: experts(inputs[0], index, inputs[1]), (x, weight))


def test_every_expert() -> None:
    experts = bank((3, 2), gated=True, bias=True)
    x = torch.randn(5, 6, dtype=torch.float64)
    both = oracle(experts, x, torch.tensor([[0, 1]]).expand(5, 2), torch.ones(5, 2).double())
    torch.testing.assert_close(experts(x), both)
