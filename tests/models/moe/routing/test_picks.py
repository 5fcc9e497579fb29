import torch

from sparsebench.models.moe.routing.picks import picks


def test_every_choice_counts_once_and_idle_experts_have_none() -> None:
    found = picks(torch.tensor([[0, 2], [2, 4], [0, 4]]), 6)
    assert found.tolist() == [2, 0, 2, 0, 2, 0] and found.dtype == torch.int64
    assert picks(torch.zeros(0, 2, dtype=torch.int64), 3).tolist() == [0, 0, 0]
