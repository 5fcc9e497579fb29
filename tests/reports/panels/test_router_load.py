"""Router load: what a record keeps of it, the measure of specialisation, and the figure with its words."""

import math
import re

import pytest

from sparsebench.reports.panels.router_load import BEFORE, PANEL, RouterLoad, to_details, to_entry
from sparsebench.reports.records.record import RecordError

from .pages import page

# Two layers, two experts: layer 3 routes all domains alike, layer 5 gives each domain an expert of its own.
LOAD = RouterLoad(
    (3, 5),
    {"code": ((0.25, 0.75), (1.0, 0.0)), "law": ((0.25, 0.75), (0.0, 1.0))},
)


def test_specialisation_is_the_divergence_from_the_mean_load():
    assert LOAD.mean(1) == [0.5, 0.5]
    assert LOAD.divergence("code", 0) == 0.0
    assert LOAD.divergence("code", 1) == 1.0  # one bit says which of two experts
    assert LOAD.specialisation("law") == 0.5
    assert LOAD.specialisation() == 0.5
    assert LOAD.strongest("law") == (5, 1, 1.0)


def test_divergence_is_kullback_leiblers():
    load = RouterLoad((0,), {"a": ((0.7, 0.2, 0.1),), "b": ((0.1, 0.3, 0.6),)})
    expected = sum(p * math.log2(p / q) for p, q in zip((0.7, 0.2, 0.1), (0.4, 0.25, 0.35), strict=True))
    assert load.divergence("a", 0) == pytest.approx(expected)


def test_a_record_keeps_it_to_a_tenth_of_a_per_mille(make):
    record = make.record(details=to_details(LOAD))
    assert PANEL.read(record) == LOAD
    third = RouterLoad((0,), {"a": ((1 / 3, 2 / 3),)})
    kept = PANEL.read(make.record(details=to_details(third)))
    assert kept.domains["a"][0] == pytest.approx(third.domains["a"][0], abs=1e-4)


def test_the_page_draws_the_first_seed_of_a_few_rows_and_says_it_in_words(make, tmp_path):
    other = RouterLoad(LOAD.layers, dict.fromkeys(LOAD.domains, ((0.5, 0.5), (0.5, 0.5))))
    records = [
        make.record(f"row {row:02d}", seed=seed, details=to_details(other if seed else LOAD))
        for row in range(5)
        for seed in (1, 0)
    ]
    text = page(tmp_path, *records)
    shown = re.findall(r'chart "Router load of [^"]*row 0(\d) by domain[^"]*Specialisation 0\.500 bits\."', text)
    assert shown == ["0", "1", "2", "3"]
    assert "1 more rows have a router." in text
    assert "layer 5: expert 1 gets 100.0 %" in text


def test_the_load_before_training_is_drawn_beside_that_after_it(make, tmp_path):
    even = RouterLoad(LOAD.layers, dict.fromkeys(LOAD.domains, ((0.5, 0.5), (0.5, 0.5))))
    noted = {f"1. {BEFORE}": to_entry(LOAD), f"2. {BEFORE}": to_entry(even)}
    record = make.record("row", details=to_details(LOAD) | noted)
    assert PANEL.read(record).before == even, "the last training began with it"
    text = page(tmp_path, record)
    shown = re.findall(r'chart "Router load of ([^"]*) by domain[^"]*Specialisation ([\d.]+) bits', text)
    assert shown == [("1  row, before training", "0.000"), ("1  row", "0.500")]


def test_without_a_router_there_is_no_figure(make, tmp_path):
    assert "Router load" not in page(tmp_path, make.record())


def test_the_tasks_of_a_row_make_one_figure(make, tmp_path):
    records = [
        make.record("row", domain, details=to_details(RouterLoad(LOAD.layers, {domain: shares})))
        for domain, shares in LOAD.domains.items()
    ]
    other = RouterLoad((1,), {"other": ((1.0, 0.0),)})
    text = page(tmp_path, *records, make.record("row", "u", details=to_details(other)))
    assert text.count('chart "Router load of') == 1
    assert "<td>code</td>" in text
    assert "<td>law</td>" in text
    assert "<td>other</td>" not in text


@pytest.mark.parametrize(
    "entry",
    [
        {"layers": [], "per_mille": {"code": []}},
        {"layers": ["3"], "per_mille": {"code": ["500 500"]}},
        {"layers": [True], "per_mille": {"code": ["500 500"]}},
        {"layers": [3], "per_mille": {}},
        {"layers": [3], "per_mille": {"code": ["500 500", "500 500"]}},
        {"layers": [3], "per_mille": {"code": ["500 500"], "law": ["300 300 400"]}},
        {"layers": [3], "per_mille": {"code": ["0 0"]}},
        {"layers": [3], "per_mille": {"code": [""]}},
        {"layers": [3], "per_mille": {"code": ["-500 1500"]}},
        {"layers": [3], "per_mille": {"code": ["nan 500"]}},
        {"layers": [3], "per_mille": {"code": ["inf 500"]}},
        {"layers": [3], "per_mille": {"code": ["all of it"]}},
        {"layers": [3], "per_mille": {"code": [500]}},
        {"layers": 3, "per_mille": {"code": ["500 500"]}},
        {"per_mille": {"code": ["500 500"]}},
        [1000],
    ],
)
def test_another_form_is_an_error_that_names_the_record(make, entry):
    record = make.record(details={"router_load": entry})
    with pytest.raises(RecordError, match=record.id):
        PANEL.read(record)
