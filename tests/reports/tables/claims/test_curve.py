"""Curves as scores: the last link's, at the steps that all records have, and claims about all of a training."""

import dataclasses

import pytest

from sparsebench.reports.tables.claims import Check, judge
from sparsebench.reports.tables.claims.curve import at_each_step, curve_of
from sparsebench.reports.tables.claims.document import expectation, step_in_words

from .studies import CLAIM

LOSS = dataclasses.replace(CLAIM, metric="val loss", throughout=True, smallest_effect=0.1, smallest_reason="ours")


def with_curves(found, gaps):
    """Rows A and B of three seeds; B lies above A by so much at each step, but for a little that the seed changes."""
    changed = []
    for record in found:
        above = record.cell.label == "B"
        seed = record.cell.seed
        points = [(24.0 * (n + 1), 5.0 - n + (gap + 0.001 * seed) * above) for n, gap in enumerate(gaps)]
        curves = {"1. val loss": [(1.0, 99.0)], "2. val loss": points, "2. train loss": [(1.0, 0.0)]}
        changed.append(dataclasses.replace(record, curves=curves))
    return changed


def test_of_a_chain_the_last_link_counts(make):
    curves = {"10. val loss": [(1.0, 3.0)], "9. val loss": [(1.0, 2.0)], "10. val loss by tokens": [(5.0, 3.0)]}
    assert curve_of(make.record(curves=curves), "val loss") == [(1.0, 3.0)]
    assert curve_of(make.record(curves={"val loss": [(2.0, 1.0)]}), "val loss") == [(2.0, 1.0)]
    assert curve_of(make.record(curves=curves), "loss") == []


def test_only_steps_that_all_have_are_compared(make):
    short = make.record("A", curves={"c": [(1.0, 4.0), (2.0, 3.0)]})
    long = make.record("B", curves={"c": [(2.0, 2.5), (3.0, 2.0)]})
    failed = make.record("B", seed=1, status="failed", reason="broke", metrics={}, main_metric=None)
    found = at_each_step([short, long, failed], "c")
    assert list(found) == [2.0]
    assert [record.metrics["c"].value for record in found[2.0][:2]] == [3.0, 2.5]
    assert found[2.0][2] is failed
    with pytest.raises(LookupError, match="no common point of a curve 'other'"):
        at_each_step([short, long], "other")


@pytest.mark.parametrize(
    ("gaps", "verdict"),
    [((1.0, 0.9, 0.8), "holds"), ((1.0, -0.9, 0.8), "fails"), ((1.0, 0.0, 0.8), "negligible")],
)
def test_a_claim_of_all_the_training_is_tested_at_every_point(records, gaps, verdict):
    """Three claims said "throughout the training" and were tested at its end."""
    found = with_curves(records({"A": 1.0, "B": 2.0}), gaps)
    (finding,) = judge([LOSS], found)
    assert finding.verdict == verdict
    assert [step.at for step in finding.steps] == ["after 24 steps", "after 48 steps", "after 72 steps"]
    assert step_in_words(finding, finding.steps[0]).startswith("A − B after 24 steps: −1.001 [")
    assert expectation(LOSS) == "A < B in val loss at every point of the curve, smallest effect 0.1"


def test_curves_are_read_of_whole_records(records):
    """An index gives records without their curves; what a look knows of the seeds stays."""
    found = records({"A": 1.0, "B": 2.0}, seeds=5)
    whole = {record.id: record for record in with_curves(found, (1.0, 0.9))}
    slim = [dataclasses.replace(record, curves={"2. val loss": []}) for record in found]
    claim = dataclasses.replace(LOSS, looks=(3, 5))
    (finding,) = judge([claim], slim, whole=lambda record: whole[record.id])
    assert (finding.verdict, finding.seeds, finding.look) == ("holds", 3, 0)
    (finding,) = judge([claim], slim)
    assert finding.steps[0].reason == "the records have no common point of a curve 'val loss'"


def test_a_check_may_be_of_the_end_of_a_curve(records):
    found = with_curves(records({"A": 1.0, "B": 2.0}), (1.0, 0.9))
    low = Check(kind="metric", metric="val loss", at_least=4.5, reason="noise decides", rows=("A",))
    (finding,) = judge([dataclasses.replace(CLAIM, checks=(low,))], found)
    assert finding.reason == "val loss 4 of A, below 4.5: noise decides"
