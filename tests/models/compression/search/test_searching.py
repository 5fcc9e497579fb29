"""The search on every kind of mixture: costs to the byte, the oracle of all recipes, refusals that change nothing."""

import itertools
from typing import Any

import pytest
import torch

from sparsebench.models import load, save
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression import Grid, QuantiseConfig, quantise
from sparsebench.models.compression.quantisation import PackedTensor
from sparsebench.models.compression.search import searching
from sparsebench.models.compression.search.budget import Budget
from sparsebench.models.compression.search.comparison import Found
from sparsebench.models.compression.search.knapsack import Solution
from sparsebench.models.compression.search.options import Option, SearchSpace, options_of
from sparsebench.models.compression.search.prices import Price, price_of
from sparsebench.models.compression.search.searching import SearchConfig, search
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.errors import ModelError

from ..quantisation.models import fingerprints
from ..slimming.mixtures import FUSED, batches, mixture, output, stock
from .cases import config, mixtures


@pytest.mark.parametrize("budget", [Budget(bytes=0.86), Budget(active=0.92)], ids=["bytes", "active"])
@pytest.mark.parametrize("name", FUSED)
def test_it_costs_what_it_says(name: str, budget: Budget) -> None:
    model = mixture(name)
    recipe = search(model, batches(name), config(name, budget))
    assert price_of(model) == recipe.after
    assert recipe.after.of(budget.kind) <= recipe.limit <= budget.fraction * recipe.before.of(budget.kind)
    left = [None if one.after.dropped else (one.after.experts, one.after.width) for one in recipe.decisions]
    assert mixtures(model) == left and any(one.after != one.before for one in recipe.decisions)
    assert torch.isfinite(output(model, batches(name)[0])).all()
    packed = any(isinstance(value, PackedTensor) for value in model.parameters())
    assert packed == any(one.after.bits is not None for one in recipe.decisions)


def test_no_recipe_is_better_by_the_measured_damages(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exhaustively: what the search chose against all pairs of options of the two mixtures."""
    seen: dict[str, Any] = {}
    solve = searching.solve

    def watched(costs: Any, damages: Any, budget: int) -> Any:
        seen.update(costs=costs, damages=damages, budget=budget)
        return solve(costs, damages, budget)

    monkeypatch.setattr(searching, "solve", watched)
    recipe = search(mixture("mixtral"), batches("mixtral"), config("mixtral", Budget(bytes=0.5), held_out=0))
    pairs = itertools.product(*(zip(*pair, strict=True) for pair in zip(seen["costs"], seen["damages"], strict=True)))
    damages = [sum(harm for _, harm in pair) for pair in pairs if sum(cost for cost, _ in pair) <= seen["budget"]]
    assert recipe.damage == pytest.approx(min(damages)) and len(damages) > 3


def test_the_same_again_and_a_larger_budget_never_hurts() -> None:
    first, again, larger = (
        search(mixture("mixtral"), batches("mixtral"), config("mixtral", Budget(bytes=share), held_out=0))
        for share in (0.6, 0.6, 0.9)
    )
    assert first == again and larger.damage <= first.damage
    whole = search(model := mixture("mixtral"), batches("mixtral"), config("mixtral", Budget(bytes=1.0)))
    assert whole.damage == 0.0 and whole.after == whole.before == price_of(model)


def test_statistics_that_are_there_are_used() -> None:
    model = stock("Olmoe", num_experts=4).eval()
    seen = mixture_statistics(model, batches("olmoe"), moments=True)
    recipe = search(model, batches("olmoe"), config("olmoe", Budget(active=0.9)), seen)
    assert price_of(model) == recipe.after
    with pytest.raises(ModelError, match="the statistics are of"):
        search(stock("Olmoe", num_experts=3).eval(), batches("olmoe"), config("olmoe", Budget(active=0.9)), seen)


def test_a_compressed_model_is_saved_and_opened(tmp_path: Any) -> None:
    """Unequal experts, widths, bits and a dropped mixture at once."""
    model: Any = stock("Mixtral", num_local_experts=4, num_hidden_layers=4).eval()
    space = SearchSpace(experts=(0.5,), widths=(0.5,), bits=(3,))
    data = batches("mixtral")
    settings = config("mixtral", Budget(bytes=0.5), space)
    seen = mixture_statistics(model, data, moments=True)
    chosen = [Option(2, 48, 3), Option(0, 0, None, dropped=True), Option(4, 24), Option(2, 24, 3)]
    ranked = searching._ranked(model, seen, settings)
    options = [options_of(one.experts, space) for one in mixtures_of(model)]
    places = tuple(own.index(option) for own, option in zip(options, chosen, strict=True))
    savings = [[Price(0, 0)] * len(own) for own in options]
    solution = Solution(places, 0, 0.0, 1, True)
    damages = [[0.0] * len(own) for own in options]
    recipe = Found(ranked, options, savings, damages, solution, price_of(model), "bytes", 1).best()
    searching.apply(model, recipe, ranked, seen, settings.rounding, data, "reap")
    assert mixtures(model) == [(2, 48), None, (4, 24), (2, 24)]
    save(model, tmp_path / "packed")
    opened = load(tmp_path / "packed")
    assert mixtures(opened) == mixtures(model)
    torch.testing.assert_close(output(opened, data[0]), output(model, data[0]), rtol=0, atol=0)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        (
            Budget(bytes=0.01),
            r"bytes=0.01 allows \d+ of \d+ bytes, but the least that these options reach is \d+: ",
        ),
        (Budget(active=0.1), r"active=0.1 allows \d+ of \d+ active parameters, but the least"),
    ],
)
def test_a_budget_that_cannot_be_kept_names_the_least(budget: Budget, message: str) -> None:
    model = mixture("mixtral")
    before = fingerprints(model)
    with pytest.raises(ModelError, match=message) as found:
        search(model, batches("mixtral"), config("mixtral", budget))
    assert fingerprints(model) == before
    least = float(str(found.value).partition("take ")[2].split("=")[1].split()[0])
    named = Budget(**{budget.kind: least})
    recipe = search(model, batches("mixtral"), config("mixtral", named))
    assert recipe.after.of(budget.kind) <= recipe.limit


def test_packed_weights_and_no_mixture_are_refused() -> None:
    model = mixture("mixtral")
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=4, group_size=16)))
    with pytest.raises(ModelError, match="is quantised: search first"):
        search(model, batches("mixtral"), config("mixtral", Budget(bytes=0.9)))
    with pytest.raises(ModelError, match="no mixture of experts"):
        search(stock("Llama"), batches("mixtral"), config("llama", Budget(bytes=0.9)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"score": "best"}, "score"),
        ({"score": "random"}, "ranks nothing"),
        ({"method": "awq"}, "method"),
        ({"distance": "far"}, "distance"),
        ({"anchors": 0}, "anchors=0 must be 1 or more"),
        ({"held_out": 1.0}, r"held_out=1.0, a fraction of the batches, must lie in \[0, 1\)"),
        ({"group_size": 0}, "group_size=0"),
    ],
)
def test_impossible_configurations(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        SearchConfig(budget=Budget(bytes=0.5), **fields)
