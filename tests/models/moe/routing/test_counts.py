import math

import torch

from sparsebench.models.moe.routing.counts import RoutingCounts, entropy


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
