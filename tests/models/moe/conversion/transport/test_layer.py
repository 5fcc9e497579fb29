"""The layer of DOT-MoE: one expert for each neuron, its gradients, and the dense layer when all experts are on."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.conversion.dense_ffn import DenseFFN
from sparsebench.models.moe.conversion.transport.layer import MaskedFFN, TransportFFN, all_dense, straight_through
from sparsebench.models.moe.routing.config import RoutingConfig
from sparsebench.models.moe.splits.sinkhorn import sinkhorn

EXPERTS, HIDDEN, WIDTH = 4, 18, 6


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layer(top_k: int = 2) -> TransportFFN:
    gate, up, down = draw(HIDDEN, WIDTH), draw(HIDDEN, WIDTH, seed=1), draw(WIDTH, HIDDEN, seed=2)
    ffn = DenseFFN(
        gate=gate, up=up, down=down, gate_bias=None, up_bias=None, down_bias=draw(WIDTH, seed=3), activation=F.silu
    )
    routing = RoutingConfig(num_experts=EXPERTS, top_k=top_k, balance="switch", z_coef=1e-3)
    return TransportFFN(ffn, [], draw(HIDDEN, EXPERTS, seed=4), draw(EXPERTS, WIDTH, seed=5), routing)


def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other() -> None:
    soft = draw(5, 3).requires_grad_()
    hard = torch.eye(5, 3)
    passed = straight_through(hard, soft.softmax(1))
    assert torch.equal(passed, hard)
    weight = draw(5, 3, seed=1)
    (found,) = torch.autograd.grad((passed * weight).sum(), soft)
    (wanted,) = torch.autograd.grad((soft.softmax(1) * weight).sum(), soft)
    assert torch.equal(found, wanted)


def test_each_neuron_is_in_one_expert_and_experts_are_equal() -> None:
    learnt = layer()
    assigned = learnt.assignment()
    assert torch.equal(assigned.sum(1), torch.ones(HIDDEN)) and assigned.sum(0).tolist() == [5, 5, 4, 4]
    parts = learnt.partition()
    assert all(assigned[neurons, expert].eq(1).all() for expert, neurons in enumerate(parts.experts))


def test_gradients_of_affinity_and_router_are_those_of_the_soft_matrices() -> None:
    """By hand: each is the gradient of y with one matrix soft and the other as it acts."""
    learnt, x, weight = layer(), draw(7, WIDTH, seed=6), draw(7, WIDTH, seed=7)
    found = torch.autograd.grad((learnt(x) * weight).sum(), [learnt.affinity, learnt.router])
    plan = sinkhorn(learnt.affinity, learnt.sizes, learnt.temperature)
    logits = x @ learnt.router.T
    hard_router = torch.zeros_like(logits).scatter(1, logits.topk(2).indices, 1.0)
    h = F.silu(x @ learnt.ffn.gate.T) * (x @ learnt.ffn.up.T)  # type: ignore[union-attr]

    def output(router: Tensor, neurons: Tensor) -> Tensor:
        return ((h * (router @ neurons.T)) @ learnt.ffn.down.T * weight).sum()

    (affinity,) = torch.autograd.grad(output(hard_router, plan), learnt.affinity)
    (router,) = torch.autograd.grad(output(logits.softmax(1), learnt.assignment().detach()), learnt.router)
    torch.testing.assert_close(found, (affinity, router))
    assert all(gradient.abs().max() > 0 for gradient in found)


def test_masks_hold_their_own_choice_and_learn_by_their_sigmoid() -> None:
    """y = W_down (h * mask of the chosen expert); the gradient of a mask is that of sigmoid(affinity - least kept)."""
    plain = layer()
    masked = MaskedFFN(plain.ffn, [], plain.affinity.detach(), plain.router.detach(), RoutingConfig(top_k=1), 5)
    x, weight = draw(7, WIDTH, seed=6), draw(7, WIDTH, seed=7)
    best = masked.affinity.topk(5, dim=0)
    hard = torch.zeros(HIDDEN, EXPERTS).scatter(0, best.indices, 1.0)
    assert torch.equal(masked.assignment(), hard) and len(hard.sum(1).unique()) > 1
    assert [own.tolist() for own in masked.partition().experts] == [
        column.nonzero()[:, 0].tolist() for column in hard.T
    ]
    h = F.silu(x @ plain.ffn.gate.T) * (x @ plain.ffn.up.T)  # type: ignore[union-attr]
    chosen = (x @ plain.router.T).argmax(1)
    torch.testing.assert_close(masked(x), plain.ffn.output(h * hard.T[chosen]))
    (found,) = torch.autograd.grad((masked(x) * weight).sum(), masked.affinity)
    soft = (masked.affinity - best.values[-1].detach()).sigmoid()
    (wanted,) = torch.autograd.grad(((h * soft.T[chosen]) @ plain.ffn.down.T * weight).sum(), masked.affinity)
    torch.testing.assert_close(found, wanted)
    with pytest.raises(ModelError, match=r"must lie in 1\.\.18"):
        MaskedFFN(plain.ffn, [], plain.affinity.detach(), plain.router.detach(), RoutingConfig(top_k=1), 19)


@torch.no_grad()
def test_all_experts_on_are_the_dense_layer() -> None:
    learnt, some, x = layer(EXPERTS), layer(2), draw(7, WIDTH, seed=6)
    with all_dense([learnt]):
        dense = learnt(x)
    torch.testing.assert_close(learnt(x), dense)
    assert not torch.allclose(some(x), dense)
    assert learnt.aux is not None and learnt.aux.isfinite()


def test_dense_ends_after_an_error() -> None:
    learnt = layer()
    with pytest.raises(ValueError, match="stop"), all_dense([learnt]):
        raise ValueError("stop")
    assert not learnt.dense
