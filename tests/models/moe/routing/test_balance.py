import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.balance import (
    balance_in_training,
    balance_loss,
    places_in_queues,
    smooth_load,
    within_capacity,
)
from sparsebench.models.moe.routing.choices import Routing
from sparsebench.models.moe.routing.config import RoutingConfig
from sparsebench.models.moe.routing.counts import counts, cv_squared
from sparsebench.models.moe.routing.router import LinearRouter


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def routing(logits: Tensor, k: int) -> Routing:
    best, index = logits.topk(k, dim=-1)
    return Routing(index, best.softmax(-1), logits)


def switch(made: Routing, **fields: Any) -> Tensor:
    return balance_loss(RoutingConfig(balance="switch", balance_coef=1.0, **fields), made)


def z(made: Routing) -> Tensor:
    return balance_loss(RoutingConfig(z_coef=1.0), made)


@pytest.mark.parametrize(("experts", "k", "value"), [(8, 2, 4.0), (7, 1, 7.0), (64, 8, 8.0), (8, 7, 8 / 7)])
def test_the_faithful_switch_loss_is_a_constant_without_gradient(experts: int, k: int, value: float) -> None:
    logits = (3 * normal(50, experts)).requires_grad_()
    loss = switch(routing(logits, k), faithful=True)
    assert float(loss.detach()) == pytest.approx(value)
    loss.backward()
    assert float(logits.grad.abs().max()) < 1e-15


def noisy_routing() -> Routing:
    """8 experts, k = 2, logits of standard deviation 2, fresh noise; many tokens."""
    config = MoEConfig(noise="shazeer")
    layer = LinearRouter(config, 2 * torch.eye(8, dtype=torch.float64)).train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return layer(normal(100_000, 8, seed=7))


def test_the_released_smooth_loads_do_not_sum_to_k() -> None:
    made = noisy_routing()
    for faithful, chosen in ((False, 2.0), (True, 1.81)):
        load = smooth_load(made, faithful=faithful)
        assert float(load.sum().detach()) / 100_000 == pytest.approx(chosen, abs=0.01)


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


def by_hand(config: MoEConfig, made: Routing, real: list[bool]) -> float:
    """The loss from counts in plain Python floats, the tokens that are not real skipped."""
    experts = made.logits.shape[1]
    importance, load, mass = [0.0] * experts, [0] * experts, [0.0] * experts
    square = 0.0
    for t in range(len(real)):
        if not real[t]:
            continue
        for e, weight in zip(made.index[t].tolist(), made.weight[t].tolist(), strict=True):
            importance[e] += weight
            load[e] += 1
        sizes = [math.exp(logit) for logit in made.logits[t].tolist()]
        square += math.log(sum(sizes)) ** 2
        if config.score == "sigmoid":
            sizes = [1 / (1 + 1 / size) for size in sizes]
        for e, size in enumerate(sizes):
            mass[e] += size / sum(sizes)
    tokens = sum(real)

    def cv2(values: list[float] | list[int]) -> float:
        mean = sum(values) / experts
        return sum((value - mean) ** 2 for value in values) / (experts - 1) / mean**2

    if config.balance == "cv2":
        loss = cv2(importance) + cv2(load)
    elif config.balance == "switch":
        loss = experts * sum(load[e] / tokens * mass[e] / tokens for e in range(experts))
    else:
        loss = 0.0
    return config.balance_coef * loss + config.z_coef * square / tokens


LOSSES = [
    MoEConfig(num_experts=6, balance="cv2", balance_coef=0.5),
    MoEConfig(num_experts=6, balance="cv2", balance_coef=0.5, score="sigmoid", scale=3.0),
    MoEConfig(num_experts=6, balance="switch", balance_coef=0.5, score="softmax_topk", renorm=False),
    MoEConfig(num_experts=6, balance="switch", balance_coef=0.5, score="sigmoid"),
    MoEConfig(num_experts=6, z_coef=0.3),
    MoEConfig(num_experts=6, balance="switch", z_coef=0.3),
    MoEConfig(num_experts=6, balance="bias", z_coef=0.3),
]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("config", LOSSES, ids=lambda config: f"{config.balance}-{config.score}-{config.z_coef}")
def test_every_loss_equals_counts_by_hand(config: MoEConfig, padded: bool) -> None:
    router = LinearRouter(config, normal(6, 6)).train()
    made = router(normal(40, 6, seed=1))
    real_T = None
    real = [True] * 40
    if padded:
        real_T = torch.rand(40, generator=torch.Generator().manual_seed(2)) < 0.6
        real = real_T.tolist()
    loss = balance_in_training(config, router, made, real_T)
    assert float(loss.detach()) == pytest.approx(by_hand(config, made, real), rel=1e-9)


def test_z_loss_is_that_of_the_logits_without_noise() -> None:
    logits = normal(7, 4)
    noisy = routing(logits, 2)._replace(noisy=logits + 5, std=torch.ones_like(logits))
    assert torch.equal(z(noisy), z(routing(logits, 2)))


def test_the_losses_are_bit_by_bit_what_they_were() -> None:
    """As means of one process, which they were before they were sums over all of them."""
    for seed in range(5):
        before = (3 * normal(37, 8, seed=seed)).float().requires_grad_()
        after = before.detach().clone().requires_grad_()
        made = routing(before, 2)
        old = 8 * (counts(made) / 37 * before.softmax(-1).mean(0)).sum()
        new = switch(routing(after, 2))
        old.backward()
        new.backward()
        assert torch.equal(old, new) and torch.equal(before.grad, after.grad)
        chosen = made.logits.gather(1, made.index).softmax(-1)
        constant = 8 * (counts(made) / (37 * 2) * chosen.mean(-1).mean()).sum()
        assert torch.equal(switch(made, faithful=True), constant)


@pytest.mark.parametrize("config", LOSSES, ids=lambda config: f"{config.balance}-{config.score}-{config.z_coef}")
def test_autocast_changes_no_loss(
    config: MoEConfig, mixture: Callable[[MoEConfig], MoEFFN], tokens: Callable[..., Tensor]
) -> None:
    layer = mixture(config).float()
    x = tokens(30).float()
    found = []
    for enabled in (False, True):
        layer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            layer(x)
        assert layer.aux is not None and layer.aux.dtype == torch.float32
        layer.aux.backward()
        found.append((layer.aux.detach(), layer.router.weight.grad.clone()))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("config", LOSSES, ids=lambda config: f"{config.balance}-{config.score}-{config.z_coef}")
def test_an_unbalanced_router_is_pushed_back(config: MoEConfig) -> None:
    """A step against the gradient lowers the loss."""
    logits = (normal(50, 6) + torch.tensor([2.0, 0, 0, 0, 0, 0])).requires_grad_()
    router = LinearRouter(config, normal(6, 6))

    def loss(values: Tensor) -> Tensor:
        router.logits = lambda x: values
        return balance_loss(config, router(normal(50, 6)))

    first = loss(logits)
    first.backward()
    assert logits.grad.norm() > 1e-4
    assert float(loss(logits.detach() - 0.1 * logits.grad / logits.grad.norm())) < float(first.detach())


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
