import pytest
import torch
import torch.nn.functional as F
from torch import nn

from sparsebench.models.moe.experts import rows
from sparsebench.models.moe.experts.eager import Weights, few_experts, hidden, loop_experts, unbound


def weights(*, gated: bool = True, bias: bool = False) -> Weights:
    """3 experts of 5 neurons, of width 4."""
    generator = torch.Generator().manual_seed(0)
    rows = 10 if gated else 5

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    return Weights(draw(3, rows, 4), draw(3, 4, 5), draw(3, rows) if bias else None, gated, F.gelu)


X = torch.randn(6, 4, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
INDEX = torch.tensor([[0, 1], [1, 2], [3, 3], [2, 0], [3, 1], [0, 2]])  # 3 stands for no expert
WEIGHT = torch.rand(6, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def slow(experts: Weights) -> torch.Tensor:
    out = torch.zeros_like(X)
    for token in range(6):
        for place in range(2):
            expert = int(INDEX[token, place])
            if expert == 3:
                continue
            bias = None if experts.bias is None else experts.bias[expert]
            inward = F.linear(X[token], experts.gate_up[expert], bias)
            acted = F.gelu(inward[:5]) * inward[5:] if experts.gated else F.gelu(inward)
            out[token] += WEIGHT[token, place] * (experts.down[expert] @ acted)
    return out


@pytest.mark.parametrize("gated", [True, False])
@pytest.mark.parametrize("bias", [True, False])
def test_every_kind_of_expert(gated: bool, bias: bool) -> None:
    experts = weights(gated=gated, bias=bias)
    torch.testing.assert_close(loop_experts(X, INDEX, WEIGHT, experts), slow(experts))
    if not bias:
        torch.testing.assert_close(few_experts(X, INDEX, WEIGHT, experts), slow(experts))


@pytest.mark.parametrize("tokens", [0, 2])
def test_no_tokens_and_tokens_without_an_expert_leave_gradients_of_zero(tokens: int) -> None:
    experts = weights(bias=True)
    assert experts.bias is not None
    leaves = [X[:tokens].clone(), WEIGHT[:tokens].clone(), experts.gate_up, experts.down, experts.bias]
    x, weight, gate_up, down, bias = (leaf.requires_grad_() for leaf in leaves)
    none = torch.full((tokens, 2), 3)
    out = loop_experts(x, none, weight, experts._replace(gate_up=gate_up, down=down, bias=bias))
    assert out.shape == (tokens, 4) and not out.any()
    out.sum().backward()
    assert all(leaf.grad is not None and not leaf.grad.any() for leaf in leaves)


def test_gradients_reach_experts_without_tokens_as_zeros() -> None:
    experts = weights()
    gate_up = nn.Parameter(experts.gate_up)
    loop_experts(X[:1], INDEX[:1], WEIGHT[:1], experts._replace(gate_up=gate_up)).sum().backward()
    assert gate_up.grad is not None and gate_up.grad[:2].any() and not gate_up.grad[2].any()


def test_hidden_and_the_parts_of_each_expert() -> None:
    experts = weights(bias=True)
    parts = list(zip(*unbound(experts), strict=True))
    assert len(parts) == 3
    gate_up, bias, down = parts[1]
    assert torch.equal(gate_up, experts.gate_up[1]) and torch.equal(down, experts.down[1])
    inward = F.linear(X, gate_up, bias)
    torch.testing.assert_close(hidden(X, gate_up, bias, experts), F.gelu(inward[:, :5]) * inward[:, 5:])
    assert unbound(weights())[1] == [None, None, None]


@pytest.mark.parametrize("gated", [True, False])
def test_few_shapes_change_no_number_and_no_gradient(gated: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With steps of 2 rows nearly every slice is filled up."""
    monkeypatch.setattr(rows, "STEP", 2)
    experts = weights(gated=gated, bias=True)
    made = {}
    for few in (False, True):
        leaves = [X.clone(), WEIGHT.clone(), experts.gate_up.clone(), experts.down.clone(), experts.bias.clone()]
        x, weight, gate_up, down, bias = (leaf.requires_grad_() for leaf in leaves)
        out = loop_experts(x, INDEX, weight, experts._replace(gate_up=gate_up, down=down, bias=bias), few_shapes=few)
        out.square().sum().backward()
        made[few] = [out.detach(), *(leaf.grad for leaf in (x, weight, gate_up, down, bias))]
    for got, expected in zip(made[True], made[False], strict=True):
        torch.testing.assert_close(got, expected)
    torch.testing.assert_close(made[True][0], slow(experts))
