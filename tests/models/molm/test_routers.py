"""Routers by their formulas, token by token, and the balance losses at their extremes."""

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.moe.routing.choices import Routing
from sparsebench.models.molm.routers import Z_WEIGHT, CosineRouter, GELURouter, balance_loss, make_router

from .small_molm import sizes


def slow_logits(router: Any, x: Tensor) -> list[float]:
    """Logits of one token, expert by expert."""
    if isinstance(router, GELURouter):
        hidden = F.gelu(router.hidden @ x + router.hidden_bias)
        return [float(row @ hidden) for row in router.output]
    if isinstance(router, CosineRouter):
        z = router.projection @ x
        sharp = math.exp(float(router.log_sharpness))
        return [sharp * float(c @ z / (c.norm() * z.norm())) for c in router.centroids]
    return [float(row @ x) for row in router.weight]


@pytest.mark.parametrize("kind", ["mlp", "linear", "cosine"])
@torch.no_grad()
def test_weights_are_probabilities_of_all_experts(kind: str) -> None:
    torch.manual_seed(0)
    router = make_router(sizes(router=kind), 5, 3).eval()
    for value in router.parameters():
        value.normal_()
    tokens = torch.randn(7, 12)
    found = router(tokens)
    for x, index, weight in zip(tokens, found.index, found.weight, strict=True):
        probability = torch.tensor(slow_logits(router, x)).softmax(0)
        best = probability.topk(3)
        assert torch.equal(index, best.indices)
        torch.testing.assert_close(weight, best.values)
    assert (found.weight.sum(1) < 1).all()


def routing(logits: Tensor, index: Tensor) -> Routing:
    return Routing(index, torch.ones_like(index, dtype=logits.dtype), logits)


SURE = 50 * torch.eye(4)


def test_mutual_information_of_tokens_and_experts() -> None:
    index = torch.arange(4).unsqueeze(1)
    assert balance_loss("mutual_information", routing(SURE, index)).item() == pytest.approx(-math.log(4), abs=1e-6)
    assert balance_loss("mutual_information", routing(torch.zeros(4, 4), index)).item() == pytest.approx(0, abs=1e-6)


def test_switch_balance_and_z_loss() -> None:
    z_loss = Z_WEIGHT * 50**2
    spread = balance_loss("switch", routing(SURE, torch.arange(4).unsqueeze(1))).item()
    assert spread == pytest.approx(1 + z_loss)
    one = balance_loss("switch", routing(SURE[:1].expand(4, 4), torch.zeros(4, 1, dtype=torch.int64))).item()
    assert one == pytest.approx(4 + z_loss)
