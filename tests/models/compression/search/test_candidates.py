"""Recipes that are alike in all mixtures, and the score over all layers: within the budget, none that another beats."""

from typing import Any

import pytest

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.search.budget import Budget
from sparsebench.models.compression.search.candidates import over_all_layers, uniform
from sparsebench.models.compression.search.options import Option, SearchSpace, options_of
from sparsebench.models.compression.search.prices import Price, price_of, saved
from sparsebench.models.compression.search.searching import _ranked
from sparsebench.models.compression.trimming.experts.drop import expert_drop

from ..slimming.mixtures import batches, mixture
from .cases import config

SPACE = SearchSpace(experts=(0.75, 0.5), widths=(0.5,), bits=(4, 3))


def ranks(name: str, space: SearchSpace = SPACE) -> tuple[Any, Any]:
    model = mixture(name)
    seen = mixture_statistics(model, batches(name), moments=True)
    return model, _ranked(model, seen, config(name, Budget(bytes=0.9), space))


def test_uniform_recipes_within_the_budget_that_none_beats() -> None:
    model, ranked = ranks("mixtral")
    options = [options_of(one.mixture.experts, SPACE) for one in ranked]
    grids = {bits: config("mixtral", Budget(bytes=0.9), SPACE).rounding(bits) for bits in SPACE.bits}
    savings = [saved(model, one, own, grids) for one, own in zip(ranked, options, strict=True)]
    found = uniform(ranked, SPACE, options, savings, "bytes", 0)
    assert [one.options for one in found] == [(Option(4, 48),) * 2], "with all allowed, nothing goes"
    least = 2 * savings[0][options[0].index(Option(4, 48, 3))].bytes
    found = uniform(ranked, SPACE, options, savings, "bytes", least)
    kept = [one.options[0] for one in found]
    assert Option(4, 48, 3) in kept and Option(4, 24, 3) not in kept and Option(3, 48, 3) not in kept
    assert all(one.options[0] == one.options[1] for one in found)
    assert all(sum(saving.bytes for saving in one.savings) >= least for one in found)
    assert "uniform: 4 experts of 48 neurons, 3 bits" in [one.name for one in found]


def test_the_score_over_all_layers_keeps_as_many_experts_as_fit() -> None:
    model, ranked = ranks("mixtral")
    (one,) = {saved(model, own, [Option(3, 48)], {})[0].bytes for own in ranked}
    assert over_all_layers(model, ranked, SPACE, "bytes", 5 * one) is None, "two of each stay at least"
    found = over_all_layers(model, ranked, SPACE, "bytes", 3 * one)
    assert found is not None and sum(option.experts for option in found.options) == 5
    report = expert_drop(
        model, mixture_statistics(model, batches("mixtral")), [2, 3], score="reap", scope="global", least=2
    )
    assert [option.experts for option in found.options] == [len(layer.kept) for layer in report.layers]
    assert sum(saving.bytes for saving in found.savings) == 3 * one


@pytest.mark.parametrize(
    ("name", "space"), [("deepseek_v3", SPACE), ("mixtral", SearchSpace(experts=(), widths=(0.5,)))]
)
def test_where_there_is_no_score_over_all_layers(name: str, space: SearchSpace) -> None:
    """A router that chooses among groups; a space in which experts stay."""
    model, ranked = ranks(name, space)
    assert over_all_layers(model, ranked, space, "bytes", 1) is None
    assert price_of(model) == price_of(mixture(name)) != Price(0, 0)
