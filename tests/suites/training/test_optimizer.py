"""What decays, and the schedule of the learning rate."""

import math

import pytest
import torch
from torch import nn

from sparsebench.models.sparsity.masked import MaskedLinear
from sparsebench.suites.training.optimizer import parameter_groups, rate_factor, warmup_cosine
from sparsebench.suites.training.settings import TrainSettings

from .toy import Fit, Numbers, context, linear


def test_warmup_and_cosine_by_hand() -> None:
    factors = [warmup_cosine(step, 10, 0.2) for step in range(11)]
    assert factors[:3] == [0.5, 1.0, 1.0]
    assert factors[6] == pytest.approx(0.5)
    assert factors[4] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[10] == pytest.approx(0.0)
    assert factors[2:] == sorted(factors[2:], reverse=True)


def test_a_cosine_may_end_above_nothing() -> None:
    factors = [warmup_cosine(step, 10, 0.2, 0.1) for step in range(11)]
    assert factors[:3] == [0.5, 1.0, 1.0] and factors[10] == pytest.approx(0.1)
    assert factors[6] == pytest.approx(0.1 + 0.9 * 0.5)
    ending = TrainSettings(steps=10, warmup=0.2, lowest=0.1)
    assert [rate_factor(ending, step, 10) for step in range(11)] == factors


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_schedule_of_very_short_runs_is_finite_and_starts_at_the_peak(steps: int) -> None:
    factors = [warmup_cosine(step, steps, 0.1) for step in range(steps + 1)]
    assert factors[0] == 1.0 and all(0 <= factor <= 1 for factor in factors)


def test_parameter_groups_decay_matrices_only() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.LayerNorm(3), nn.Linear(3, 2))
    model[2].requires_grad_(False)
    decayed, plain = parameter_groups(model, 0.1)
    assert [id(p) for p in decayed["params"]] == [id(model[0].weight)] and decayed["weight_decay"] == 0.1
    assert {id(p) for p in plain["params"]} == {id(p) for p in (model[0].bias, *model[1].parameters())}
    assert plain["weight_decay"] == 0.0


def test_nothing_to_train_raises() -> None:
    with pytest.raises(ValueError, match="nothing to train"):
        Fit().fit(linear().requires_grad_(False), Numbers(), context())


def test_pruned_weights_decay_like_dense_ones() -> None:
    layer = MaskedLinear(4, 4)
    nn.init.ones_(layer.stored)
    layer.prune(torch.eye(4, dtype=torch.bool))
    decayed, rest = parameter_groups(layer, 0.1)
    assert decayed["params"] == [layer.values] and rest["params"] == [layer.bias]


def test_a_constant_rate_may_rise_first() -> None:
    assert rate_factor(TrainSettings(steps=10, schedule="constant"), 7, None) == 1.0
    rising = TrainSettings(steps=10, schedule="constant", warmup=0.4)
    assert [rate_factor(rising, done, 10) for done in (0, 1, 3, 4, 9)] == [0.25, 0.5, 1.0, 1.0, 1.0]
    cosine = TrainSettings(tokens=1000, warmup=0.4)
    assert rate_factor(cosine, 199, 1000) == 0.5 and rate_factor(cosine, 1000, 1000) == pytest.approx(0.0)
    with pytest.raises(ValueError, match="stream without a length"):
        rate_factor(TrainSettings(epochs=2), 0, None)
