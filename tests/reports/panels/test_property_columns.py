"""Wanted properties: a column for each, and the bar of the one that follows least."""

import pytest

from sparsebench.reports.panels.panel import Entry
from sparsebench.reports.panels.property_columns import PANEL
from sparsebench.reports.records.record import Metric


def metrics(**ranks: float) -> dict[str, Metric]:
    found = {"accuracy": Metric(value=0.5, higher_is_better=True, unit="")}
    for name, value in ranks.items():
        found[f"spearman {name}"] = Metric(value=value, higher_is_better=True, unit="")
    return found


def test_a_property_that_does_not_follow_has_its_own_column(make):
    error = {"MAE logp": Metric(value=0.8, higher_is_better=False, unit="sd")}
    found = [metrics(logp=0.51, qed=0.097), metrics(logp=0.6) | error]
    values = [PANEL.read(make.record(metrics=one)) for one in found]
    content = PANEL.show([Entry(number, "row", "t", value) for number, value in enumerate(values, start=1)])
    assert content is not None
    (words,) = [figure.words for figure in content.figures]
    assert words is not None and words.titles == ("row", "logp", "qed")
    assert words.rows == (("1  row", "0.510", "0.097"), ("2  row", "0.600 (0.800)", "–"))


def test_other_records_have_no_such_entry(make):
    with pytest.raises(KeyError):
        PANEL.read(make.record())
