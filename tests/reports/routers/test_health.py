"""What a record keeps of the health of routers: there and back, in few digits; refused forms; sums over domains."""

import math

import pytest

from sparsebench.reports.records.record import RecordError
from sparsebench.reports.routers.health import (
    LayerNumbers,
    RouterHealth,
    Spread,
    from_details,
    is_of_routers,
    layer_name,
    mean_over_layers,
    place_of,
    to_details,
)

CODE = (
    LayerNumbers(1.5, (0, 2), 1.2, 0.5, 0.25),
    LayerNumbers(1.25, (), 1.0, None, 0.125),
    LayerNumbers(1.0, (), 0.0, None, 0.0),
)
LAW = (
    LayerNumbers(2.5, (2, 3), 0.2, 0.75, 0.5),
    LayerNumbers(1.75, (1,), 0.5, None, 0.25),
    LayerNumbers(1.0, (), 0.0, None, 0.0),
)
HEALTH = RouterHealth(("3", "3 attention", "4"), (4, 3, 1), {"code": CODE, "law": LAW})
ENTRY = {
    "layers": ["3", "3 attention", "4"],
    "experts": "4 3 1",
    "domains": {
        "code": {
            "worst": "1.5 1.25 1",
            "dead": {"3": "0 2"},
            "entropy": "1.2 1 0",
            "token_entropy": "0.5 - -",
            "cv2": "0.25 0.125 0",
        },
        "law": {
            "worst": "2.5 1.75 1",
            "dead": {"3": "2 3", "3 attention": "1"},
            "entropy": "0.2 0.5 0",
            "token_entropy": "0.75 - -",
            "cv2": "0.5 0.25 0",
        },
    },
}


def test_the_entry_is_texts_of_numbers_and_comes_back():
    assert to_details(HEALTH) == ENTRY
    assert from_details(ENTRY) == HEALTH


def test_four_figures_are_kept():
    numbers = LayerNumbers(4 / 3, (), 2 / 3e3, 12.34567, 1e-7 / 3)
    kept = from_details(to_details(RouterHealth(("0",), (8,), {"a": (numbers,)}))).domains["a"][0]
    assert (kept.worst, kept.entropy, kept.token_entropy, kept.cv2) == (1.333, 0.0006667, 12.35, 3.333e-08)


def test_an_expert_is_dead_if_no_domain_uses_it():
    assert HEALTH.dead() == [1, 0, 0]


def test_layers_are_spread_over_domains():
    assert HEALTH.spreads("worst") == [Spread(2.0, 1.5, 2.5), Spread(1.5, 1.25, 1.75), Spread(1.0, 1.0, 1.0)]
    first, second, single = HEALTH.evenness()
    assert (first.mean, first.low, first.high) == pytest.approx(tuple(100 * e / math.log(4) for e in (0.7, 0.2, 1.2)))
    assert second.high == pytest.approx(100 / math.log(3))
    assert single == Spread(100.0, 100.0, 100.0)
    assert mean_over_layers(HEALTH.spreads("worst")) == 1.5


def test_names_of_layers_and_curves():
    assert [place_of(layer_name(7, attention)) for attention in (False, True)] == [(7, False), (7, True)]
    assert [name for name in ("router cv2", "2. router balance loss", "train loss") if is_of_routers(name)] == [
        "router cv2",
        "2. router balance loss",
    ]


def changed(**fields):
    return ENTRY | fields


def with_code(**fields):
    return ENTRY | {"domains": {"code": ENTRY["domains"]["code"] | fields}}


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (changed(layers=[], experts=""), "no numbers of experts"),
        (changed(experts="4 3"), "no numbers of experts"),
        (changed(experts="4 3 0"), "no numbers of experts"),
        (changed(domains={}), "no domain"),
        (with_code(worst="1.5 nan 1"), "'nan' is negative or not finite"),
        (with_code(worst="1.5 - 1"), "in layer 3 attention something else is"),
        (with_code(cv2="-0.1 1 1"), "'-0.1' is negative"),
        (with_code(dead={"3": "4"}), r"dead experts \(4,\) of layer 3, which has 4"),
        (with_code(dead={"9": "0"}), "which are no layers"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(entry, message):
    with pytest.raises(RecordError, match=message):
        from_details(entry)


@pytest.mark.parametrize(
    "entry", [7, [], {}, changed(layers=["three", "3", "4"]), with_code(worst="1"), with_code(entropy=None)]
)
def test_other_forms_are_errors(entry):
    with pytest.raises((AttributeError, LookupError, TypeError, ValueError)):
        from_details(entry)
