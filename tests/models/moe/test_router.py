import pytest
import torch

from sparsebench.models.moe.calibration import FFNStatistics
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.router import LinearRouter, centroids
from sparsebench.models.moe.splits import Partition


def router(**fields: object) -> LinearRouter:
    weight = torch.randn(8, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return LinearRouter(MoEConfig(**fields), weight)


def test_top_k_softmax_equals_a_loop() -> None:
    layer = router(top_k=3, scale="paper")
    x = torch.randn(5, 16, dtype=torch.float64)
    index, weight = layer(x)
    for t in range(5):
        logits = layer.weight @ x[t]
        best = sorted(range(8), key=lambda e: -logits[e])[:3]
        exponentials = torch.stack([logits[e].exp() for e in best])
        assert index[t].tolist() == best
        torch.testing.assert_close(weight[t], exponentials / exponentials.sum() * (8 / 3))


@pytest.mark.parametrize("score", ["topk_softmax", "softmax_topk", "none"])
def test_weights_sum_to_the_scale(score: str) -> None:
    x = torch.randn(20, 16, dtype=torch.float64)
    _, weight = router(top_k=2, score=score, scale=1.5)(x)
    torch.testing.assert_close(weight.sum(1), torch.full((20,), 1.5, dtype=torch.float64))


def test_without_renormalisation_weights_are_probabilities() -> None:
    layer = router(top_k=2, score="softmax_topk", renorm=False, scale=1.0)
    x = torch.randn(20, 16, dtype=torch.float64)
    index, weight = layer(x)
    torch.testing.assert_close(weight, layer.logits(x).softmax(-1).gather(1, index))


def test_top_1_gradient_needs_unnormalised_weights() -> None:
    """A renormalised top-1 weight is identically 1, so that the router learns nothing from the task."""
    for renorm, learns in ((True, False), (False, True)):
        layer = router(top_k=1, score="softmax_topk", renorm=renorm)
        _, weight = layer(torch.randn(20, 16, dtype=torch.float64))
        (weight * torch.randn(20, 1).double()).sum().backward()
        assert layer.weight.grad is not None
        assert (layer.weight.grad.norm() > 1e-6) == learns


def test_bf16_logits_are_computed_in_float32() -> None:
    layer = router().bfloat16()
    assert layer.logits(torch.randn(2, 16).bfloat16()).dtype == torch.float32


def test_centroids_equal_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    x, h = torch.randn(30, 4, generator=generator), torch.randn(30, 6, generator=generator)
    norm = torch.rand(6, generator=generator)
    parts = Partition(shared=torch.tensor([5]), experts=(torch.tensor([0, 3]), torch.tensor([1, 2, 4])))
    statistics = FFNStatistics(0, torch.zeros(4), torch.zeros(6), torch.zeros(6), torch.zeros(6, 4))
    statistics.add(x[:10], h[:10])
    statistics.add(x[10:], h[10:])
    rows = []
    for neurons in parts.experts:
        energy = (h[:, neurons] * norm[neurons]).square().sum(1)
        rows.append((energy[:, None] * x).sum(0) / energy.sum() - x.mean(0))
    torch.testing.assert_close(centroids(statistics, parts, norm), torch.stack(rows))
    torch.testing.assert_close(statistics.importance(norm), h.abs().mean(0) * norm)
