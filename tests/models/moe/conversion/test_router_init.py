import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.calibration.ffn_samples import FFNSample
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN
from sparsebench.models.moe.conversion.router_init import RIDGE, SPREAD, energy_rows, make_router, regressed_rows
from sparsebench.models.moe.routing.router import GLURouter, LinearRouter, MLPRouter
from sparsebench.models.moe.splits import Partition

PARTS = Partition(
    shared=torch.tensor([5]),
    experts=(torch.tensor([0, 3]), torch.tensor([1, 2, 4])),
    centroids=torch.arange(8.0).view(2, 4),
    representatives=torch.tensor([3, 2]),
)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def dense(gated: bool = True) -> DenseFFN:
    return DenseFFN(
        gate=normal(6, 4, seed=0) if gated else None,
        up=normal(6, 4, seed=1),
        down=normal(4, 6, seed=2),
        gate_bias=normal(6, seed=3) if gated else None,
        up_bias=normal(6, seed=4),
        down_bias=None,
        activation=F.silu,
    )


def make(sample: FFNSample | None = None, gated: bool = True, **fields: object) -> torch.nn.Module:
    config = MoEConfig(num_experts=3, num_shared=1, top_k=1, **fields)
    return make_router(config, dense(gated), PARTS, sample, torch.Generator().manual_seed(0))


def test_energy_rows_equal_the_formula() -> None:
    x, h, norm = normal(30, 4, seed=5), normal(30, 6, seed=6), torch.rand(6, generator=torch.Generator().manual_seed(7))
    rows = []
    for neurons in PARTS.experts:
        energy = (h[:, neurons] * norm[neurons]).square().sum(1)
        rows.append((energy[:, None] * x).sum(0) / energy.sum() - x.mean(0))
    torch.testing.assert_close(energy_rows(FFNSample(x, h), norm, PARTS.experts), torch.stack(rows))
    assert torch.equal(energy_rows(FFNSample(x, 0 * h), norm, PARTS.experts), -x.mean(0).expand(2, 4))


def test_energy_takes_the_norm_of_the_down_projection() -> None:
    sample = FFNSample(normal(30, 4, seed=5), normal(30, 6, seed=6))
    layer = make(sample, router_init="energy")
    assert isinstance(layer, LinearRouter)
    assert torch.equal(layer.weight, energy_rows(sample, dense().down.norm(dim=0), PARTS.experts))


def test_regressed_rows_are_the_least_squares_fit_of_what_experts_add() -> None:
    """By stacking the ridge as further rows of the regression, one expert after another."""
    x, h, down = normal(30, 4, seed=5), normal(30, 6, seed=6), normal(4, 6, seed=7)
    sizes = torch.stack([(h[:, own] @ down[:, own].T).norm(dim=1) for own in PARTS.experts], dim=1)
    sizes = sizes / sizes.square().mean(1, keepdim=True).sqrt()
    sizes = sizes - sizes.mean(1, keepdim=True)
    ridge = (RIDGE * x.square().sum() / 4).sqrt() * torch.eye(4)
    rows = torch.linalg.lstsq(torch.cat((x, ridge)), torch.cat((sizes, torch.zeros(4, 2)))).solution.T
    found = regressed_rows(FFNSample(x, h), down, PARTS.experts)
    assert float((x @ found.T).square().mean().sqrt()) == pytest.approx(SPREAD, rel=1e-4)
    torch.testing.assert_close(found / found.norm(), rows / rows.norm(), atol=1e-4, rtol=1e-4)
    assert not regressed_rows(FFNSample(x, h), down, PARTS.experts[:1]).any()


def test_a_regressed_router_finds_the_expert_of_each_token() -> None:
    """Each input channel feeds the neurons of one expert alone."""
    x = torch.eye(2).repeat(20, 1) * torch.linspace(1, 2, 40)[:, None]
    h = torch.zeros(40, 6)
    h[:, [0, 3]], h[:, [1, 2, 4]] = x[:, :1], x[:, 1:]
    rows = regressed_rows(FFNSample(x, h), normal(4, 6, seed=7), PARTS.experts)
    assert torch.equal((x @ rows.T).argmax(1), x.argmax(1))


def test_the_linear_router_starts_from_them() -> None:
    sample = FFNSample(normal(30, 4, seed=5), normal(30, 6, seed=6))
    layer = make(sample, router_init="regressed")
    assert isinstance(layer, LinearRouter)
    assert torch.equal(layer.weight, regressed_rows(sample, dense().down, PARTS.experts))


def test_centroids_are_the_rows() -> None:
    layer = make(split="gradient", clusters="tokens", router_init="centroids")
    assert isinstance(layer, LinearRouter) and torch.equal(layer.weight, PARTS.centroids)


@pytest.mark.parametrize("gated", [True, False])
def test_analytic_rows_are_mean_rows_of_the_experts(gated: bool) -> None:
    layer = make(gated=gated, router_init="analytic")
    rows = dense(gated).gate if gated else dense(gated).up
    assert isinstance(layer, LinearRouter)
    torch.testing.assert_close(layer.weight, torch.stack([rows[[0, 3]].mean(0), rows[[1, 2, 4]].mean(0)]))


@pytest.mark.parametrize("gated", [True, False])
def test_glu_logits_are_the_activations_of_the_representatives_with_rows_of_unit_length(gated: bool) -> None:
    layer, ffn, x = make(gated=gated, router="glu", router_init="analytic"), dense(gated), normal(5, 4, seed=8)
    assert isinstance(layer, GLURouter)
    h = (x @ ffn.up.T + ffn.up_bias) / ffn.up.norm(dim=1)
    h = F.silu((x @ ffn.gate.T + ffn.gate_bias) / ffn.gate.norm(dim=1)) * h if gated else F.silu(h)
    torch.testing.assert_close(layer.logits(x), h[:, [3, 2]].abs())


def test_random_and_zero_routers() -> None:
    x = normal(5, 4, seed=8)
    assert not make(router_init="zeros").logits(x).any()
    zero = make(router="mlp", router_init="zeros")
    assert isinstance(zero, MLPRouter) and not zero.logits(x).any() and zero.hidden.any()
    assert make(router="mlp").output.any()
    wide = make_router(MoEConfig(num_experts=3, num_shared=1, top_k=1), wide_ffn(), PARTS, None, torch.Generator())
    assert float(wide.weight.detach().std()) == pytest.approx(0.02, rel=0.1)


def wide_ffn() -> DenseFFN:
    up, down = torch.zeros(6, 1000), torch.zeros(1000, 6)
    return DenseFFN(gate=None, up=up, down=down, gate_bias=None, up_bias=None, down_bias=None, activation=F.silu)
