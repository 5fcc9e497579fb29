"""Weights that are lent: each to one pass, with the static part in its place."""

import torch

from sparsebench.models.dynamic.lent_weight import LentWeight

DYNAMIC = torch.tensor([0, 2])


def test_a_weight_is_lent_to_one_pass_at_a_time():
    made = []

    def base() -> torch.Tensor:
        made.append(1)
        return torch.tensor([[0.0, 0.0], [5.0, 6.0], [0.0, 0.0]])

    lent = LentWeight(base, 0, DYNAMIC)
    first = lent.take(torch.ones(2, 2))
    second = lent.take(torch.full((2, 2), 2.0))
    assert len(made) == 2 and first.tolist() == [[1, 1], [5, 6], [1, 1]] and second[0, 0] == 2
    lent.give_back(first)
    again = lent.take(torch.full((2, 2), 3.0), torch.tensor([[10.0, 1.0]]))
    assert again is first and len(made) == 2 and again.tolist() == [[30, 3], [5, 6], [30, 3]]


def test_factors_of_single_entries_go_by_their_tap():
    lent = LentWeight(lambda: torch.zeros(2, 2), 0, torch.tensor([1, 2]))
    weight = lent.take(torch.tensor([3.0, 4.0]), torch.tensor([[10.0, 100.0]]))
    assert weight.tolist() == [[0, 300], [40, 0]]
