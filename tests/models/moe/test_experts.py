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

    rows = sum(sizes) * (2 if gated else 1)
    return ExpertBank(
        sizes=sizes,
        gate_up=draw(rows, width),
        down=draw(sum(sizes), width),
        bias=draw(rows) if bias else None,
        gated=gated,
        activation=nn.functional.silu,
    )


def oracle(experts: ExpertBank, x: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """Token by token, expert by expert."""
    factor = 2 if experts.gated else 1
    starts = [sum(experts.sizes[:e]) for e in range(len(experts.sizes))]
    out = torch.zeros_like(x)
    for t, k in ((t, k) for t in range(index.shape[0]) for k in range(index.shape[1])):
        e = int(index[t, k])
        start, size = starts[e], experts.sizes[e]
        inward = experts.gate_up[factor * start : factor * (start + size)] @ x[t]
        if experts.bias is not None:
            inward = inward + experts.bias[factor * start : factor * (start + size)]
        hidden = nn.functional.silu(inward[:size]) * (inward[size:] if experts.gated else 1)
        out[t] += weight[t, k] * (hidden @ experts.down[start : start + size])
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
    index = torch.rand(tokens, len(sizes), generator=generator).topk(top_k, dim=1).indices
    weight = torch.rand(tokens, top_k, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(experts(x, index, weight), oracle(experts, x, index, weight), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("tokens", [1, 4])
def test_gradients(tokens: int) -> None:
    experts = bank((3, 2, 2), gated=True, bias=False)
    x = torch.randn(tokens, 6, dtype=torch.float64, requires_grad=True)
    weight = torch.rand(tokens, 2, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[0, 2]]).expand(tokens, 2)
    assert torch.autograd.gradcheck(lambda *inputs: experts(inputs[0], index, inputs[1]), (x, weight))


def test_an_idle_expert_has_a_zero_gradient() -> None:
    experts = bank((3, 2), gated=True, bias=False)
    experts(torch.ones(4, 6).double(), torch.zeros(4, 1, dtype=torch.long), torch.ones(4, 1).double()).sum().backward()
    assert experts.down.grad is not None
    assert experts.down.grad[:3].abs().sum() > 0 and not experts.down.grad[3:].any()


def test_every_expert() -> None:
    experts = bank((3, 2), gated=True, bias=True)
    x = torch.randn(5, 6, dtype=torch.float64)
    both = oracle(experts, x, torch.tensor([[0, 1]]).expand(5, 2), torch.ones(5, 2).double())
    torch.testing.assert_close(experts.every(x), both)


def test_weights_have_the_layout_of_linear() -> None:
    experts = bank((3, 2), gated=True, bias=False)
    gate, up, down = experts.weights(1)
    assert gate is not None
    x = torch.randn(4, 6, dtype=torch.float64)
    ours = (nn.functional.silu(x @ gate.T) * (x @ up.T)) @ down.T
    torch.testing.assert_close(ours, experts(x, torch.ones(4, 1, dtype=torch.long), torch.ones(4, 1).double()))
