"""Property control: what a record keeps of it, what is refused, and its figures."""

import json

import pytest

from sparsebench.reports.figures.plots import Aim
from sparsebench.reports.panels.property_control import MAX_FIGURES, MAX_LINES, PANEL, Control, to_details
from sparsebench.reports.records.record import RecordError

from .pages import page

LOGP = Control("", (Aim(1.0, 1.5, 1.2, 1.9), Aim(2.0, 1.9, 1.5, 2.5)))


def test_a_record_keeps_it(make):
    details = to_details({"logP": LOGP})
    assert details == {
        "property_control": {"logP": {"unit": "", "points": [[1.0, 1.5, 1.2, 1.9], [2.0, 1.9, 1.5, 2.5]]}}
    }
    assert PANEL.read(make.record(details=json.loads(json.dumps(details)))) == {"logP": LOGP}


def test_points_are_read_by_rising_target(make):
    points = [[2, 1.9, 1.5, 2.5], [1, 1.5, 1.2, 1.9]]
    record = make.record(details={"property_control": {"logP": {"unit": "", "points": points}}})
    assert PANEL.read(record) == {"logP": LOGP}


def test_a_mean_may_lie_outside_the_quartiles():
    assert to_details({"logP": Control("", (Aim(1.0, 9.0, 1.0, 2.0),))})


@pytest.mark.parametrize(
    "entry",
    [
        {"logP": {"unit": "", "points": [[1.0, 1.0, 1.0]]}},
        {"logP": {"unit": "", "points": []}},
        {"logP": {"points": [[1.0, 1.0, 1.0, 1.0]]}},
        {"logP": {"unit": 3, "points": [[1.0, 1.0, 1.0, 1.0]]}},
        {"logP": {"unit": "", "points": [["x", 1.0, 1.0, 1.0]]}},
        {"logP": {"unit": "", "points": [[1.0, 1.0, 2.0, 1.0]]}},
        {"logP": [1.0]},
        ["logP"],
    ],
)
def test_another_form_is_an_error(make, entry):
    with pytest.raises(RecordError, match="propert"):
        PANEL.read(make.record(details={"property_control": entry}))


def test_numbers_are_finite():
    with pytest.raises(RecordError, match="not finite"):
        to_details({"logP": Control("", (Aim(1.0, float("nan"), 1.0, 2.0),))})


def test_there_is_one_figure_per_task_and_property(make, tmp_path):
    records = [
        make.record(f"row {row:02d}", task, seed, details=to_details(make.controls()))
        for row in range(MAX_LINES + 1)
        for task in ("a", "b", "c", "d")
        for seed in (1, 0)
    ]
    text = page(tmp_path, *records)
    assert text.count(', achieved against target"') == MAX_FIGURES
    assert 'chart "a: QED, achieved against target"' in text
    assert "1 more rows have such lines." in text
    assert f"{8 - MAX_FIGURES} more pairs of task and property are not drawn." in text
