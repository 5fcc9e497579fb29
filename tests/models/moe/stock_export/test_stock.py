import torch

from sparsebench.models.anatomy import ExpertWeights
from sparsebench.models.moe.stock_export.mixture import Mixture
from sparsebench.models.moe.stock_export.stock import Stock, experts, layer_types

STOCK = Stock(
    name="Test",
    has=frozenset({"a", "b", "c"}),
    needs=frozenset({"a"}),
    widths=lambda source: (1, 0),
    config=lambda source, widths: {},
    mixture=experts,
)


def test_it_fits_what_has_all_that_it_needs_and_nothing_that_it_lacks() -> None:
    assert STOCK.fits(frozenset({"a"})) and STOCK.fits(frozenset({"a", "b", "c"}))
    assert not STOCK.fits(frozenset()) and not STOCK.fits(frozenset({"b"}))
    assert not STOCK.fits(frozenset({"a", "d"}))


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
