import math

import pytest
import torch

from sparsebench.models.moe.routing.counts import RoutingCounts, cv_squared, entropy


def test_entropy_in_nats() -> None:
    assert entropy(torch.tensor([1.0, 0.0, 0.0])) == 0
    torch.testing.assert_close(entropy(torch.full((2, 8), 1 / 8)), torch.full((2,), math.log(8)))


def test_sums_over_calls() -> None:
    """Two tokens, then one; 3 experts, 2 chosen."""
    seen = RoutingCounts(3)
    assert (seen.tokens, seen.choices, float(seen.entropy)) == (0, 0, 0.0)
    assert seen.picks.tolist() == seen.weight.tolist() == [0.0, 0.0, 0.0]
    even = torch.zeros(2, 3)
    seen.add(torch.tensor([[0, 1], [0, 2]]), torch.tensor([[0.75, 0.25], [0.5, 0.5]]), even)
    sure = torch.tensor([[0.0, 100.0, 0.0]])
    seen.add(torch.tensor([[1, 0]]), torch.tensor([[1.0, 0.0]]), sure)
    assert seen.tokens == 3 and seen.choices == 6
    assert seen.picks.tolist() == [3, 2, 1] and seen.weight.tolist() == [1.25, 1.25, 0.5]
    assert seen.picks.dtype == torch.float64
    assert math.isclose(float(seen.entropy), 2 * math.log(3), rel_tol=1e-6)


def test_no_graph_is_kept() -> None:
    logits = torch.zeros(1, 2, requires_grad=True)
    seen = RoutingCounts(2)
    seen.add(torch.tensor([[0]]), logits.softmax(-1)[:, :1], logits)
    assert not seen.weight.requires_grad and not seen.entropy.requires_grad


def test_choices_of_no_expert_and_tokens_without_logits() -> None:
    seen = RoutingCounts(2)
    seen.add(torch.tensor([[0, 2], [2, 2]]), torch.tensor([[0.5, 0.0], [0.0, 0.0]]), None)
    assert (seen.tokens, seen.choices, seen.entropy) == (2, 4, None)
    assert seen.picks.tolist() == [1, 0] and seen.weight.tolist() == [0.5, 0]
    seen.add(torch.tensor([[1, 0]]), torch.tensor([[0.5, 0.5]]), torch.zeros(1, 2))
    assert seen.entropy is None


@pytest.mark.parametrize(("experts", "busy", "value"), [(8, 8, 0.0), (8, 1, 8.0), (8, 2, 24 / 7), (16, 4, 16 * 3 / 15)])
def test_cv_squared_values(experts: int, busy: int, value: float) -> None:
    """N (N / j - 1) / (N - 1) when j of N experts share evenly: 3.43 for 2 of 8."""
    load = torch.zeros(experts, dtype=torch.float64)
    load[:busy] = 12.0
    assert float(cv_squared(load)) == pytest.approx(value)


def test_a_single_expert_is_balanced() -> None:
    assert float(cv_squared(torch.tensor([3.0]))) == 0
