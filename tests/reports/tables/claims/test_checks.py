"""Instruments that do not work: a claim that hangs on them is not testable, whatever its intervals say."""

import dataclasses
import math

import pytest

from sparsebench.reports.routers.health import KEY, LayerNumbers, RouterHealth, to_details
from sparsebench.reports.tables.claims import Check, judge

from .studies import CLAIM


def checked(found, *checks, whole=None, **changes):
    claim = dataclasses.replace(CLAIM, checks=checks, **changes)
    (finding,) = judge([claim], found, **({} if whole is None else {"whole": whole}))
    return finding.verdict, finding.reason


def with_routers(records, fractions):
    """The records with routers of four experts whose token entropy is such a fraction of the highest."""
    found = []
    for record in records:
        if record.cell.label in fractions:
            entropy = fractions[record.cell.label] * math.log(4)
            layer = LayerNumbers(1.0, (), math.log(4), entropy, 0.0)
            health = RouterHealth(("0", "1"), (4, 4), {"law": (layer, layer)})
            record = dataclasses.replace(record, details={KEY: to_details(health)})
        found.append(record)
    return found


def test_routers_that_choose_by_chance_leave_a_claim_untestable(records):
    """All rows of LLaMA-MoE v1 were compared with routers within 0.8 % of uniform ones, and 11 verdicts given."""
    check = Check(kind="routers", at_most=0.99, reason="routers choose by chance")
    found = records({"A": 1.0, "B": 2.0})
    assert checked(with_routers(found, {"A": 0.6, "B": 0.9}), check) == ("holds", "")
    told = "router entropy 0.999 of B, above 0.99: routers choose by chance"
    assert checked(with_routers(found, {"A": 0.6, "B": 0.999}), check) == ("not testable here", told)
    assert checked(with_routers(found, {"A": 0.6}), check)[0] == "holds", "a dense row has no router"
    assert checked(found, check)[1].startswith("no record says router entropy: ")
    damaged = [dataclasses.replace(record, details={KEY: {"layers": ["0"]}}) for record in found]
    assert checked(damaged, check)[1].startswith("no record says router entropy: ")


def test_routers_are_read_of_whole_records(records):
    """An index gives records without their details."""
    found = records({"A": 1.0, "B": 2.0})
    whole = {record.id: record for record in with_routers(found, {"A": 1.0})}
    check = Check(kind="routers", at_most=0.99, reason="chance")
    assert checked(found, check, whole=lambda record: whole[record.id])[0] == "not testable here"


@pytest.mark.parametrize(
    ("bounds", "fails"), [({"at_least": 1.5}, "A, below 1.5"), ({"at_most": 1.5}, "B, above 1.5"), ({"at_most": 3}, "")]
)
def test_a_metric_must_be_what_the_instrument_needs(records, bounds, fails):
    check = Check(kind="metric", metric="bits", reason="it does not reconstruct", **bounds)
    verdict, reason = checked(records({"A": 1.0, "B": 2.0}), check)
    assert (verdict == "not testable here") == bool(fails)
    assert fails in reason


def test_a_metric_may_be_of_another_row_and_task(records):
    found = records({"A": 1.0, "B": 2.0}) + records({"C": 0.1}, task="u")
    check = Check(kind="metric", metric="bits", rows=("C",), task="u", at_least=0.9, reason="too little")
    assert checked(found, check) == ("not testable here", "bits 0.11 of C, below 0.9: too little")
    assert checked(found, dataclasses.replace(check, task="t"))[1] == "no record says bits: too little"
    both = dataclasses.replace(check, rows=("C", "D"), at_least=0.0)
    assert checked(found, both) == ("not testable here", "no record says bits of D: too little")


def test_a_check_looks_at_the_backbone_and_the_budget_of_its_claim(records):
    """A row that runs on two backbones is broken on one of them: the claim about the other one is testable."""
    found = records({"A": 1.0, "B": 2.0})
    check = Check(kind="metric", metric="bits", at_most=2.5, reason="it does not work")
    for change in ({"backbone": "other"}, {"budget": {"epochs": 20}}):
        elsewhere = [
            dataclasses.replace(record, cell=dataclasses.replace(record.cell, **change))
            for record in records({"A": 9.0, "B": 9.0})
        ]
        asked = {"budget": {"epochs": 10}}
        assert checked(found + elsewhere, check, **asked) == ("holds", ""), change
        broken = {"backbone": change.get("backbone", "net"), "budget": change.get("budget", {"epochs": 10})}
        assert checked(found + elsewhere, check, **broken)[0] == "not testable here", "no mean with what works"
    other_task = dataclasses.replace(check, task="u")
    trained = records({"A": 1.0, "B": 2.0}, task="u")
    assert checked(found + trained, other_task, budget={"epochs": 10}) == ("holds", "")
    longer = [
        dataclasses.replace(record, cell=dataclasses.replace(record.cell, budget={"epochs": 99})) for record in trained
    ]
    assert checked(found + longer, other_task, budget={"epochs": 10}) == ("holds", ""), "the budget is of its own tasks"


def test_a_null_row_that_fulfils_a_claim_as_well_leaves_it_untestable(records):
    """Six of eight claims of PAD-Net that were "reproduced" are fulfilled by a static network."""
    found = records({"A": 1.0, "B": 2.0, "static": 1.2, "worse": 3.0})
    null = Check(kind="null row", rows=("static",), reason="0 % dynamic says nothing of it")
    told = "static fulfils it as well: 0 % dynamic says nothing of it"
    assert checked(found, null) == ("not testable here", told)
    assert checked(found, dataclasses.replace(null, rows=("worse",))) == ("holds", "")
    assert checked(found, null, rows=("worse", "B"))[0] == "fails", "what fails does so beside any null row"


def test_a_null_row_that_fulfils_a_claim_counts_with_the_seeds_that_it_has(records):
    """A claim passed at its next look, since its null row was judged at the stricter level of the first one."""
    null = Check(kind="null row", rows=("static",), reason="chance")
    looks = {"looks": (3, 6, 10)}
    found = records({"A": 1.0, "B": 1.05}, seeds=6, noise=0.004)
    three = found + records({"static": 1.0}, seeds=3, noise=0.004)
    assert checked(three, null, **looks) == ("not testable here", "static fulfils it as well: chance")
    untold = ("not testable here", "static cannot be judged in its place, too few of its seeds have a score: chance")
    assert checked(found + records({"static": 1.0}, seeds=2), null, **looks) == untold
    assert checked(found, null, **looks) == untold, "it never ran"
    assert checked(found, null) == untold
    failed = records({"static": 1.0}, status="failed", reason="NaN")
    failed = [dataclasses.replace(record, metrics={}, main_metric=None) for record in failed]
    assert checked(found + failed, null) == untold
    assert checked(records({"A": 2.0, "B": 1.0}), null)[0] == "fails", "it needs no null row"


def test_a_null_row_is_counted_from_the_base_of_the_row_that_it_stands_for(records):
    found = records({"A": 1.1, "A0": 1.0, "B": 1.5, "B0": 1.0, "static": 1.1})
    null = Check(kind="null row", rows=("static",), reason="chance")
    told = ("not testable here", "static fulfils it as well: chance")
    assert checked(found, null, base={"A": "A0", "B": "B0"}) == told


def test_the_first_check_that_fails_is_told_and_nothing_else_of_the_claim(records):
    unfair = Check(kind="stated", reason="the rows have unequal budgets")
    later = Check(kind="stated", reason="and more")
    assert checked(records({"A": 2.0, "B": 1.0}), unfair, later) == ("not testable here", unfair.reason)
