"""Small runs of a model whose losses follow from its mixture alone."""

from collections.abc import Mapping
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures import strategy
from sparsebench.suites.training.mixing.held_out import HeldOut
from sparsebench.suites.training.mixing.swarm import Swarm

SIZES = {"a": 60, "b": 30, "c": 10}


class Shares(nn.Module):
    """Its weights are the mixture that it was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = nn.Parameter(torch.full((3,), 7.0))


def loss(model: Any, place: int) -> Tensor:
    """Falls with the share of its data set."""
    return 1 + torch.exp(-model.seen[place])


def swarm(model: Shares, names: list[str]) -> Swarm:
    def train(weights: Mapping[str, float], name: str) -> None:
        assert torch.equal(model.seen, torch.full((3,), 7.0)), "each starts from the same weights"
        names.append(name)
        model.seen.data = torch.tensor(list(weights.values()))

    batches = {name: [place] for place, name in enumerate(SIZES)}
    read = HeldOut(batches=batches, loss=loss, weight=lambda batch: 1.0, forward=loss)
    return Swarm(model=model, train=train, read=read, sizes=SIZES, seed=0, options={"kl": 0.0})


def test_runs_say_what_each_mixture_gave_and_the_model_is_as_before() -> None:
    names: list[str] = []
    model = Shares()
    runs = swarm(model, names).runs(5, ("a", "b", "c"))
    assert len(set(names)) == 5 and torch.equal(model.seen, torch.full((3,), 7.0))
    for run in runs:
        for name, share in run.weights.items():
            assert run.losses[name] == pytest.approx(1 + 2.718281828459045**-share, abs=1e-6)
    best = strategy("proxy_regression", tuple(SIZES), runs=runs, sizes=SIZES, kl=0.0)
    assert best.weights == pytest.approx(dict.fromkeys(SIZES, 1 / 3), abs=1e-3)


def test_reused_runs_keep_the_ratios_of_the_sets_that_are_not_new() -> None:
    names: list[str] = []
    kept, runs = swarm(Shares(), names).reused(4, 5, ("c",))
    assert kept == pytest.approx({"a": 0.5, "b": 0.5}, abs=1e-3) and len(names) == 9
    for run in runs:
        assert run.weights["a"] == pytest.approx(run.weights["b"], rel=0.01) and run.weights["c"] > 0
    with pytest.raises(MixtureError, match="a law has 3 parameters"):
        swarm(Shares(), names).reused(4, 2, ("c",))
