"""Marginals, limits and gradients of the transport plan, and its rounding."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.splits.sinkhorn import rounded, sinkhorn

SIZES = (5, 5, 4, 4)


def affinity(scale: float = 1.0) -> torch.Tensor:
    return scale * torch.randn(18, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("scale", [0.1, 1.0, 5.0])
def test_marginals(scale: float) -> None:
    """Rows to rounding, columns to what 50 iterations leave."""
    plan = sinkhorn(affinity(scale), SIZES, 1.0)
    torch.testing.assert_close(plan.sum(1), torch.ones(18, dtype=torch.float64))
    torch.testing.assert_close(plan.sum(0), torch.tensor(SIZES, dtype=torch.float64), rtol=1e-3, atol=0)
    longer = sinkhorn(affinity(scale), SIZES, 1.0, iterations=2_000)
    torch.testing.assert_close(longer.sum(0), torch.tensor(SIZES, dtype=torch.float64))


def test_it_is_a_scaled_kernel() -> None:
    """M_ie = u_i exp(A_ie / t) v_e: what is left of M when the kernel is taken off has rank 1."""
    plan = sinkhorn(affinity(), SIZES, 0.5)
    left = plan.log() - affinity() / 0.5
    centred = left - left.mean(0) - left.mean(1, keepdim=True) + left.mean()
    torch.testing.assert_close(centred, torch.zeros_like(centred))


def test_equal_affinities_are_shared_out_by_size() -> None:
    plan = sinkhorn(torch.zeros(18, 4), SIZES, 1.0)
    torch.testing.assert_close(plan, (torch.tensor(SIZES) / 18).expand(18, 4))


def test_each_neuron_is_in_one_expert_of_its_size() -> None:
    groups = rounded(sinkhorn(affinity(), SIZES, 0.1), SIZES)
    assert tuple(map(len, groups)) == SIZES
    assert sorted(torch.cat(groups).tolist()) == list(range(18))


def test_a_clear_plan_is_not_changed_by_rounding() -> None:
    owner = torch.arange(18) % 4
    groups = rounded(sinkhorn(5.0 * torch.nn.functional.one_hot(owner, 4).double(), SIZES, 0.5), SIZES)
    assert all((owner[neurons] == expert).all() for expert, neurons in enumerate(groups))


def test_what_cannot_be() -> None:
    with pytest.raises(ModelError, match="do not fit"):
        sinkhorn(affinity(), (5, 5, 4, 5), 1.0)
    with pytest.raises(ModelError, match="temperature=0"):
        sinkhorn(affinity(), SIZES, 0.0)
