import math

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.routing.balance import (
    balance_loss,
    cv_squared,
    faithful_switch_loss,
    places_in_queues,
    smooth_load,
    switch_loss,
    within_capacity,
)
from sparsebench.models.moe.routing.counts import counts, importance
from sparsebench.models.moe.routing.router import LinearRouter, Routing


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def routing(logits: Tensor, k: int) -> Routing:
    best, index = logits.topk(k, dim=-1)
    return Routing(index, best.softmax(-1), logits)


@pytest.mark.parametrize(("experts", "busy", "value"), [(8, 8, 0.0), (8, 1, 8.0), (8, 2, 24 / 7), (16, 4, 16 * 3 / 15)])
def test_cv_squared_values(experts: int, busy: int, value: float) -> None:
    """N (N / j - 1) / (N - 1) when j of N experts share evenly: 3.43 for 2 of 8."""
    load = torch.zeros(experts, dtype=torch.float64)
    load[:busy] = 12.0
    assert float(cv_squared(load)) == pytest.approx(value)


def test_a_single_expert_is_balanced() -> None:
    assert float(cv_squared(torch.tensor([3.0]))) == 0


def test_importance_and_counts_equal_a_loop() -> None:
    made = routing(normal(20, 6), 2)
    weights, picks = torch.zeros(6, dtype=torch.float64), torch.zeros(6, dtype=torch.float64)
    for t in range(20):
        for e, w in zip(made.index[t].tolist(), made.weight[t].tolist(), strict=True):
            weights[e] += w
            picks[e] += 1
    torch.testing.assert_close(importance(made), weights)
    assert torch.equal(counts(made), picks)


def uniform_routing(experts: int, k: int) -> Routing:
    """Equal probabilities, and each expert chosen by as many tokens."""
    index = (torch.arange(experts).unsqueeze(1) + torch.arange(k)) % experts
    return Routing(index, torch.full((experts, k), 1 / k), torch.zeros(experts, experts, requires_grad=True))


@pytest.mark.parametrize(("experts", "k"), [(8, 2), (7, 1), (16, 4)])
def test_switch_loss_of_even_routing_is_k(experts: int, k: int) -> None:
    assert float(switch_loss(uniform_routing(experts, k)).detach()) == pytest.approx(k)


def test_switch_loss_equals_a_loop_and_pushes_towards_balance() -> None:
    logits = (normal(50, 8) + torch.tensor([2.0] + [0.0] * 7)).requires_grad_()
    made = routing(logits, 2)
    expected = 0.0
    for e in range(8):
        fraction = sum(e in row for row in made.index.tolist()) / 50
        expected += 8 * fraction * float(logits.detach().softmax(-1)[:, e].mean())
    loss = switch_loss(made)
    assert float(loss.detach()) == pytest.approx(expected) and expected > 2
    loss.backward()
    assert float(logits.grad[:, 0].sum()) > 1e-3


@pytest.mark.parametrize(("experts", "k", "value"), [(8, 2, 4.0), (7, 1, 7.0), (64, 8, 8.0), (8, 7, 8 / 7)])
def test_the_faithful_switch_loss_is_a_constant_without_gradient(experts: int, k: int, value: float) -> None:
    logits = (3 * normal(50, experts)).requires_grad_()
    loss = faithful_switch_loss(routing(logits, k))
    assert float(loss.detach()) == pytest.approx(value)
    loss.backward()
    assert float(logits.grad.abs().max()) < 1e-15


def noisy_routing(spread: float) -> Routing:
    """8 experts, k = 2, logits of this standard deviation, fresh noise; many tokens."""
    config = MoEConfig(noise="shazeer")
    layer = LinearRouter(config, spread * torch.eye(8, dtype=torch.float64)).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return layer(normal(100_000, 8, seed=7))


@pytest.mark.parametrize("spread", [0.02, 1.0, 2.0])
def test_smooth_loads_sum_to_k(spread: float) -> None:
    assert float(smooth_load(noisy_routing(spread)).sum().detach()) / 100_000 == pytest.approx(2.0, abs=0.01)


def test_the_released_smooth_loads_do_not_sum_to_k() -> None:
    released = smooth_load(noisy_routing(2.0), faithful=True)
    assert float(released.sum().detach()) / 100_000 == pytest.approx(1.81, abs=0.01)


def test_smooth_load_is_the_chance_to_be_chosen_when_own_noise_is_drawn_again() -> None:
    logits, noise, std = normal(1, 5), normal(1, 5, seed=1), torch.full((1, 5), 0.7, dtype=torch.float64)
    noisy = logits + noise * std
    made = Routing(noisy.topk(2).indices, torch.ones(1, 2), logits, noisy, std)
    for expert in range(5):
        again = noisy.repeat(200_000, 1)
        again[:, expert] = logits[0, expert] + 0.7 * normal(200_000, seed=2)
        chosen = (again.topk(2).indices == expert).any(1).double().mean()
        assert float(smooth_load(made)[expert]) == pytest.approx(float(chosen), abs=0.005)


def test_smooth_load_has_a_gradient_and_without_noise_is_the_count() -> None:
    logits = normal(50, 8).requires_grad_()
    std = torch.full((50, 8), 0.7, dtype=torch.float64)
    made = routing(logits, 2)._replace(noisy=logits + normal(50, 8, seed=1) * std, std=std)
    cv_squared(smooth_load(made)).backward()
    assert logits.grad.abs().sum() > 0
    quiet = routing(normal(50, 8), 2)
    assert torch.equal(smooth_load(quiet), counts(quiet))
    everyone = routing(normal(50, 8), 8)._replace(noisy=normal(50, 8), std=std)
    assert torch.equal(smooth_load(everyone), torch.full((8,), 50.0, dtype=torch.float64))


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"balance": "none"}, 0.0),
        ({"balance": "cv2", "balance_coef": 0.5}, 0.5 * 2 * 24 / 7),
        ({"balance": "switch", "balance_coef": 0.5}, 0.5 * 8 * (0.5 + 0.5) * 2 * 0.25),
        ({"balance": "switch", "balance_coef": 0.5, "faithful": True}, 0.5 * 4),
    ],
)
def test_balance_loss_of_two_busy_experts(fields: dict, value: float) -> None:
    """All tokens choose experts 0 and 1, with weight 1/2 and (softmax) probability 1/4 each."""
    logits = torch.full((6, 8), math.log(0.5 / 6), dtype=torch.float64)
    logits[:, :2] = math.log(0.25)
    assert float(balance_loss(MoEConfig(**fields), routing(logits, 2))) == pytest.approx(value)


def test_no_token_no_loss() -> None:
    assert float(balance_loss(MoEConfig(balance="cv2"), routing(torch.zeros(0, 8), 2))) == 0


def test_sigmoid_probabilities_are_normalised() -> None:
    made = uniform_routing(8, 2)
    assert float(switch_loss(made, sigmoid=True).detach()) == pytest.approx(2.0)


@pytest.mark.parametrize("capacity", [0.3, 1.0, 1.25, 4.0])
def test_capacity_equals_a_loop(capacity: float) -> None:
    made = routing(normal(30, 6) + torch.tensor([2.0, 0, 0, 0, 0, 0]), 2)
    limited = within_capacity(made, capacity)
    limit = math.ceil(capacity * 30 * 2 / 6)
    taken = [0] * 6
    for rank in range(2):
        for t in range(30):
            expert = int(made.index[t, rank])
            kept = taken[expert] < limit
            taken[expert] += kept
            assert int(limited.index[t, rank]) == (expert if kept else 6)
            assert float(limited.weight[t, rank]) == (float(made.weight[t, rank]) if kept else 0)


@pytest.mark.parametrize("capacity", [0.3, 1.0])
def test_padding_gets_no_place_within_the_capacity(capacity: float) -> None:
    """What is left equals the capacity of the real tokens by themselves, whatever the padding chose."""
    made = routing(normal(30, 6) + torch.tensor([2.0, 0, 0, 0, 0, 0]), 2)
    real = torch.rand(30, generator=torch.Generator().manual_seed(1)) < 0.6
    limited = within_capacity(made, capacity, real)
    alone = within_capacity(made.of(real), capacity)
    assert torch.equal(limited.index[real], alone.index) and torch.equal(limited.weight[real], alone.weight)
    assert (limited.index[~real] == 6).all() and not limited.weight[~real].any()


def test_places_in_queues_count_earlier_entries_of_the_same_expert() -> None:
    choice_S = torch.tensor([2, 0, 2, 2, 1, 0])
    assert places_in_queues(choice_S, 4).tolist() == [0, 0, 1, 2, 0, 1]
    assert places_in_queues(choice_S[:0], 4).tolist() == []
