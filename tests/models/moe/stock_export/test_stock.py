import dataclasses

import torch

from sparsebench.models.anatomy import ExpertWeights
from sparsebench.models.moe.stock_export.mixture import Mixture
from sparsebench.models.moe.stock_export.stock import Reach, Stock, experts, layer_types

STOCK = Stock(
    name="Test",
    runs_in={
        "transformers": Reach(frozenset({"a", "b", "c"}), needs=frozenset({"a"})),
        "llama.cpp": Reach(frozenset({"a", "b"}), needs=frozenset({"a", "b"})),
    },
    widths=lambda source: (1, 0),
    config=lambda source, widths: {},
    mixture=experts,
)


def test_it_fits_what_has_all_that_it_needs_and_nothing_that_it_lacks() -> None:
    assert STOCK.fits(frozenset({"a"})) and STOCK.fits(frozenset({"a", "b", "c"}))
    assert not STOCK.fits(frozenset()) and not STOCK.fits(frozenset({"b"}))
    assert not STOCK.fits(frozenset({"a", "d"}))


def test_each_engine_has_its_own_reach() -> None:
    found = {features: STOCK.hindrance(frozenset(features), "llama.cpp") for features in ("ab", "a", "abc")}
    assert found == {"ab": None, "a": "runs Test only with b", "abc": "runs Test only without c"}
    assert STOCK.fits(frozenset("ab"), "llama.cpp") and not STOCK.fits(frozenset("a"), "llama.cpp")
    assert dataclasses.replace(STOCK, runs_in={}).hindrance(frozenset("ab"), "llama.cpp") == "does not run Test"


def test_names_of_router_and_experts() -> None:
    one = torch.zeros(1)
    found = experts(Mixture(one, one + 1, one + 2, ExpertWeights(None, one, one)))
    assert {name: float(value) for name, value in found.items()} == {
        "mlp.gate.weight": 0,
        "mlp.experts.gate_up_proj": 1,
        "mlp.experts.down_proj": 2,
    }


def test_what_is_no_mixture_stays_unless_told_otherwise(source) -> None:
    state = {"x": torch.zeros(1)}
    assert STOCK.rest(source(), state) is state


def test_kinds_of_attention(source) -> None:
    assert layer_types(source()) == ["full_attention"] * 2
    assert layer_types(source("mistral")) == ["sliding_attention"] * 2
