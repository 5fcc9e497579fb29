"""What the records say of a claim at one look."""

import dataclasses

import numpy as np

from sparsebench.reports.tables.claims.evidence import gather

from .studies import CLAIM, drawn

STAR = dataclasses.replace(CLAIM, relation="first", smallest_effect=0.1, smallest_reason="ours")


def test_what_is_found_negligible_is_no_step_towards_a_difference(make):
    """Holm's levels rise within a family: by steps that differ, for those that may."""
    near = [0.0, 0.001, -0.001]
    sure = [1.0, 1.001, 1.002]
    beside = {"level": near, "apart": sure}
    told = {}
    for name, other in beside.items():
        found = drawn(make, np.array([[0.02, 0.03, 0.04], other, other]).T)
        star = dataclasses.replace(STAR, rows=("R0", "R1", "R2", "R3"), smallest_effect=0.05)
        told[name] = [ruling.verdict for ruling in gather(star, found, None, 0).rulings(0.05)]
    alone = gather(dataclasses.replace(STAR, rows=("R0", "R1"), smallest_effect=0.05), found, None, 0)
    assert alone.rulings(0.05) == [("holds", 0.05)]
    assert told == {"level": ["undecided", "negligible", "negligible"], "apart": ["holds"] * 3}


def test_a_claim_is_tested_if_any_step_has_an_interval(records):
    found = records({"A": 1.0, "B": 2.0})
    assert gather(dataclasses.replace(STAR, rows=("A", "none", "B")), found, None, 0).tested
    assert not gather(dataclasses.replace(STAR, rows=("A", "none")), found, None, 0).tested
    assert not gather(STAR, records({"A": 1.0, "B": 2.0}, seeds=2), None, 0).tested
    assert not dataclasses.replace(gather(STAR, found, None, 0), broken="it does not work").tested


def test_failed_seeds_of_a_look_have_ended(records):
    """A look waits for no seed that has failed: its pair is lost, and told."""
    found = records({"A": 1.0, "B": 2.0}, seeds=5)
    found = [dataclasses.replace(r, seeds={"planned": 9, "stochastic": 1}) for r in found]
    broken = dataclasses.replace(found[4], status="failed", reason="broke", metrics={}, main_metric=None)
    evidence = gather(dataclasses.replace(STAR, looks=(5, 9)), [*found[:4], broken, *found[5:]], None, 1)
    assert evidence.look == 0
    assert (evidence.steps[0].seeds, evidence.steps[0].reason) == (4, "1 of 5 pairs lost")
