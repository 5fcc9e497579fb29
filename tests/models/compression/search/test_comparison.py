"""What is returned is the nearest to the model of all that were compared, on batches that nothing was decided on."""

import copy
from typing import Any

import pytest
import torch

from sparsebench.models.compression.quantisation import Grid, PackedTensor, QuantiseConfig, dense_products, quantise
from sparsebench.models.compression.search import comparison, searching
from sparsebench.models.compression.search.budget import Budget
from sparsebench.models.compression.search.comparison import split
from sparsebench.models.compression.search.damage import divergence
from sparsebench.models.compression.search.options import SearchSpace
from sparsebench.models.compression.search.prices import price_of
from sparsebench.models.compression.search.searching import search

from ..quantisation.models import fingerprints
from ..slimming.mixtures import batches, mixture
from .cases import config

DATA = batches("mixtral", count=4)


def test_batches_are_held_out_evenly_and_one_alone_serves_for_both() -> None:
    assert split([0, 1, 2, 3], 0.25) == ([0, 1, 3], [2])
    assert split(range(8), 0.5) == ([0, 2, 4, 6], [1, 3, 5, 7])
    assert split([0, 1], 0.01) == ([0], [1]) and split([0, 1], 0.99) == ([0], [1])
    assert split([0], 0.25) == ([0], [0]) and split([0, 1], 0) == ([0, 1], [])


def far_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Damages the wrong way round: the knapsack then takes the worst options that the budget allows."""
    measure = searching.measure

    def upside_down(*args: Any, **options: Any) -> list[list[float]]:
        return [[0.0, *(1 / (damage + 1e-6) for damage in own[1:])] for own in measure(*args, **options)]

    monkeypatch.setattr(searching, "measure", upside_down)


def test_it_never_returns_less_than_a_uniform_recipe_of_its_own_space(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where damages mislead the knapsack, 3 bits everywhere, within the budget, are nearer to the model."""
    far_off(monkeypatch)
    space = SearchSpace(experts=(0.5,), widths=(0.5,), bits=(3,))
    settings = config("mixtral", Budget(bytes=0.5), space)
    model = mixture("mixtral")
    blind = search(copy.deepcopy(model), DATA, config("mixtral", Budget(bytes=0.5), space, held_out=0))
    assert blind.name == "searched" and blind.tried == ()
    seen = search(made := copy.deepcopy(model), DATA, settings)
    own, held = split(DATA, 0.25)
    quantise(everywhere := copy.deepcopy(model), QuantiseConfig(grid=Grid(bits=3, group_size=16)), own)
    assert price_of(everywhere).bytes <= seen.limit
    with dense_products():
        returned, uniform = (divergence(model, one, held, "kl") for one in (made, everywhere))
    assert returned <= uniform
    assert returned == min(one.divergence for one in seen.tried) < seen.tried[0].divergence
    assert seen.tried[0].name == "searched" != seen.name and len(seen.tried) > 2
    assert price_of(made) == seen.after and f"{seen.name}: {returned:.4g} on held-out batches" in str(seen)


def test_the_score_over_all_layers_is_among_what_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    far_off(monkeypatch)
    space = SearchSpace(experts=(0.75, 0.5), widths=(), bits=(), layers=False)
    recipe = search(model := mixture("mixtral"), DATA, config("mixtral", Budget(bytes=0.8), space))
    names = [one.name for one in recipe.tried]
    assert "the score over all layers" in names
    assert recipe.name in names and price_of(model) == recipe.after


def test_an_error_while_recipes_are_compared_leaves_the_model_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    far_off(monkeypatch)

    def interrupted(*args: Any) -> float:
        raise KeyboardInterrupt

    monkeypatch.setattr(comparison, "divergence", interrupted)
    model = mixture("mixtral").train()
    before = fingerprints(model)
    with pytest.raises(KeyboardInterrupt):
        search(model, DATA, config("mixtral", Budget(bytes=0.5)))
    assert fingerprints(model) == before and all(module.training for module in model.modules())
    assert not any(isinstance(value, PackedTensor) for value in model.parameters())
    assert torch.is_grad_enabled()
