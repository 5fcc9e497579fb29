"""Claims judged by made-up records whose truth is known."""

import dataclasses

import numpy as np
import pytest

from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.tables.claims import Check, judge
from sparsebench.reports.tables.claims.document import effects, to_markdown

from ...statistics.sequential import AHEAD, BEHIND, NEGLIGIBLE, OPEN, verdicts
from .studies import CLAIM, drawn


def verdict(records, **changes):
    (finding,) = judge([dataclasses.replace(CLAIM, **changes)], records)
    return finding.verdict


def test_the_interval_decides(records):
    assert verdict(records({"A": 1.0, "B": 2.0})) == "holds"
    assert verdict(records({"A": 2.0, "B": 1.0})) == "fails"
    assert verdict(records({"A": 1.0, "B": 1.0})) == "undecided"
    assert verdict(records({"A": 2.0, "B": 1.0}), direction="higher") == "holds"


def test_the_effect_is_the_paired_difference_with_students_interval(records):
    (finding,) = judge([CLAIM], records({"A": 1.0, "B": 2.0}))
    effect = finding.steps[0].effect
    assert effect.mean == pytest.approx(-1.01)  # the differences are -1.00, -1.01 and -1.02
    assert effect.half_width == pytest.approx(4.302652729911275 * 0.01 / 3**0.5)
    assert (finding.seeds, finding.seconds, finding.machines) == (3, 12.0, ("chip, 2 cores",))
    assert list(effects(finding)) == ["A − B: −1.010 [−1.035, −0.985] bits/byte over seeds"]


def test_a_margin_must_be_passed_by_the_whole_interval(records):
    found = records({"A": 1.0, "B": 2.0})
    assert verdict(found, margin=0.9) == "holds"
    assert verdict(found, margin=1.0) == "undecided"
    assert verdict(found, margin=1.1) == "fails"


def test_equal_means_within_the_margin(records):
    near, far = records({"A": 1.0, "B": 1.01}), records({"A": 1.0, "B": 2.0})
    assert verdict(near, relation="equal", margin=0.1) == "holds"
    assert verdict(far, relation="equal", margin=0.1) == "fails"
    assert verdict(near, relation="equal", margin=0.02) == "undecided"


def test_an_ordering_is_as_good_as_its_worst_step(records):
    found = records({"A": 1.0, "B": 2.0, "C": 3.0, "D": 0.5, "E": 2.0})
    assert verdict(found, rows=("A", "B", "C")) == "holds"
    assert verdict(found, rows=("A", "B", "D")) == "fails"
    assert verdict(found, rows=("A", "B", "E")) == "undecided"


def test_a_row_that_has_to_be_ahead_of_each_of_the_others(records):
    found = records({"A": 1.0, "B": 3.0, "C": 2.0, "D": 0.5, "E": 1.0})
    assert verdict(found, rows=("A", "B", "C")) == "fails", "B is behind C"
    assert verdict(found, rows=("A", "B", "C"), relation="first") == "holds"
    assert verdict(found, rows=("A", "B", "D"), relation="first") == "fails"
    assert verdict(found, rows=("A", "B", "E"), relation="first") == "undecided"
    (finding,) = judge([dataclasses.replace(CLAIM, rows=("A", "B", "C"), relation="first")], found)
    assert [line.partition(":")[0] for line in effects(finding)] == ["A − B", "A − C"]


def test_a_row_may_be_compared_with_itself_by_another_metric(records, make):
    found = []
    for record in records({"A": 2.0, "B": 1.0}):
        best = make.metric(record.metrics["bits"].value - 0.5, higher_is_better=False, unit="bits/byte")
        found.append(dataclasses.replace(record, metrics={**record.metrics, "best": best}))
    by_best = dataclasses.replace(CLAIM, rows=("A", "A"), metric="best", against="bits", margin=0.4)
    (finding,) = judge([by_best], found)
    assert finding.verdict == "holds" and finding.steps[0].effect.mean == pytest.approx(-0.5)
    assert next(iter(effects(finding))).startswith("A (best) − A (bits): −0.5")
    (none,) = judge([dataclasses.replace(by_best, metric="worst")], found)
    assert (none.verdict, none.steps[0].compared.reason) == ("undecided", "A has no score on t")
    assert verdict(found, metric="best", against="bits", rows=("A", "B")) == "fails"


def test_tasks_are_averaged(records):
    found = records({"A": 1.0, "B": 1.5}) + records({"A": 1.0, "B": 0.7}, task="u")
    assert verdict(found, tasks=("t", "u")) == "holds"
    assert judge([dataclasses.replace(CLAIM, tasks=("t", "u"))], found)[0].steps[0].effect.mean == pytest.approx(-0.11)


def test_too_few_seeds_and_missing_rows_leave_it_undecided(records):
    (few,) = judge([CLAIM], records({"A": 1.0, "B": 2.0}, seeds=2))
    assert few.verdict == "undecided"
    assert "fewer than 3 seeds" in next(iter(effects(few)))
    (none,) = judge([CLAIM], records({"A": 1.0}))
    assert none.verdict == "undecided"
    assert list(effects(none)) == ["A − B: B has no score on t"]


def test_other_backbones_suites_and_failures_do_not_count(records):
    found = records({"A": 1.0, "B": 2.0})
    moved = [dataclasses.replace(r, cell=dataclasses.replace(r.cell, backbone="other")) for r in found]
    failed = [dataclasses.replace(r, status="failed", reason="broke") for r in found]
    assert judge([CLAIM], moved + failed)[0].steps[0].effect is None


def test_pairs_that_the_plan_has_and_the_records_have_not_are_told(records):
    """R10: a row of three planned seeds of which one is left was paired with every seed of the other."""
    found = records({"A": 1.0}) + records({"B": 2.0})
    for record in found[4:]:  # B has its first seed only
        found.append(dataclasses.replace(record, status="failed", reason="broke", metrics={}, main_metric=None))
    del found[4:6]
    (finding,) = judge([CLAIM], found)
    assert (finding.verdict, finding.seeds) == ("undecided", 1)
    assert finding.steps[0].compared.reason == "fewer than 3 seeds, 2 of 3 pairs lost"


def test_examples_widen_the_interval_and_are_named(records):
    """R18: the intervals covered seeds on the same questions, not the questions."""
    generator = np.random.default_rng(0)
    answers = {label: generator.random((3, 200)) < chance for label, chance in (("A", 0.5), ("B", 0.6))}
    found = []
    for record in records({"A": 0.0, "B": 0.0}):
        values = answers[record.cell.label][record.cell.seed]
        metric = dataclasses.replace(record.metrics["bits"], value=float(values.mean()))
        found.append(dataclasses.replace(record, metrics={"bits": metric}))
    kept = {r.id: {"bits": answers[r.cell.label][r.cell.seed].astype(int).tolist()} for r in found}
    (with_examples,) = judge([CLAIM], found, ExampleReader(kept.get))
    assert with_examples.steps[0].effect.covers == "seeds and examples"
    assert "over seeds and examples" in next(iter(effects(with_examples)))
    assert judge([CLAIM], found)[0].steps[0].effect.covers == "seeds"


def test_a_claim_about_backbones_compares_rows_wherever_they_ran(records):
    moved = [
        dataclasses.replace(r, cell=dataclasses.replace(r.cell, backbone=f"net of {r.cell.label}"))
        for r in records({"A": 1.0, "B": 2.0})
    ]
    assert judge([CLAIM], moved)[0].verdict == "undecided"
    (finding,) = judge([dataclasses.replace(CLAIM, backbone="")], moved)
    assert finding.verdict == "holds" and finding.seeds == 3
    assert "A < B in bits; t |" in to_markdown([finding])


def test_the_steps_of_a_claim_are_corrected_for_each_other(records):
    """D7: one of k steps was enough to refute a claim, each at the level of a claim of one."""
    found = records({"A": 1.0, "B": 0.96, "C": 1.0, "D": 1.0, "E": 2.0, "F": 2.0})
    star = dataclasses.replace(CLAIM, relation="first")
    first = ("A", "B"), ("A", "B", "C", "D"), ("A", "B", "E", "F")
    alone, several, stepped = judge([dataclasses.replace(star, rows=rows) for rows in first], found)
    assert several.steps[0].effect.half_width > 1.5 * alone.steps[0].effect.half_width
    assert (alone.verdict, several.verdict) == ("fails", "undecided")
    assert stepped.verdict == "fails", "two steps that fell before it leave the third at the level of a claim of one"
    assert stepped.steps[0].effect == alone.steps[0].effect, "and its interval says so"
    open_step = several.steps[0].effect
    assert open_step.low < 0 < open_step.high


def test_verdicts_stand_if_they_are_corrected_over_the_study(records):
    """D7: of twenty claims about rows that are alike one is decided in three of four draws."""
    found = records({"A": 1.0, "B": 0.96, "C": 2.0})
    near = dataclasses.replace(CLAIM, rows=("A", "B"))
    (alone,) = judge([near], found)
    assert (alone.verdict, alone.stands) == ("fails", True)
    far = dataclasses.replace(CLAIM, rows=("A", "C"))
    study = judge([near, far, *[dataclasses.replace(near, id=f"N{number}") for number in range(3)]], found)
    assert [finding.verdict for finding in study] == ["fails", "holds", *["fails"] * 3]
    assert [finding.stands for finding in study] == [False, True, False, False, False]


def test_what_was_not_tested_is_not_corrected_for(records):
    found = records({"A": 1.0, "B": 0.96})
    missing = [dataclasses.replace(CLAIM, id=f"M{number}", rows=("A", "none")) for number in range(5)]
    broken = dataclasses.replace(CLAIM, id="X", checks=(Check(kind="stated", reason="the rows are not comparable"),))
    (finding, *others, last) = judge([CLAIM, *missing, *[broken] * 5], found)
    assert (finding.verdict, finding.stands) == ("fails", True)
    assert {(other.verdict, other.stands) for other in others[:5]} == {("undecided", False)}
    assert (last.verdict, last.stands, last.reason) == ("not testable here", False, "the rows are not comparable")


def test_an_effect_within_the_smallest_of_interest_is_negligible(records):
    """A significant nothing of 0.0012 bits was "reproduced"."""
    found = records({"A": 1.0, "B": 1.01, "C": 1.5}, noise=0.0005)
    stated = dataclasses.replace(CLAIM, smallest_effect=0.02, smallest_reason="the spread of seeds")
    assert verdict(found) == "holds", "without a smallest effect its sign is all there is"
    (near,) = judge([stated], found)
    assert (near.verdict, near.stands) == ("negligible", True)
    assert verdict(found, smallest_effect=0.005) == "holds"
    assert verdict(found, smallest_effect=0.02, rows=("B", "A")) == "negligible", "nor does it refute the reverse"
    assert verdict(found, smallest_effect=0.02, margin=-0.02) == "holds", "no worse by the margin: that is the claim"
    assert verdict(found, smallest_effect=0.02, rows=("A", "B", "C")) == "negligible", "one step of two"


def test_tasks_that_disagree_are_shown_one_by_one(records):
    """iDAT was ahead on one task of four by 1.7 points, and level on the others: the mean hid both."""
    found = records({"A": 1.0, "B": 1.5}) + records({"A": 1.0, "B": 0.7}, task="u")
    (apart,) = judge([dataclasses.replace(CLAIM, tasks=("t", "u"))], found)
    assert [task for task, _ in apart.steps[0].by_task] == ["t", "u"]
    (shown,) = effects(apart)
    assert "; the tasks disagree: t −0.510 [" in shown
    assert ", u +0.290 [" in shown
    alike = records({"A": 1.0, "B": 1.5}) + records({"A": 1.0, "B": 1.3}, task="u")
    assert judge([dataclasses.replace(CLAIM, tasks=("t", "u"))], alike)[0].steps[0].by_task == ()


def sequential(records, means, seeds, planned=9):
    """Records of so many seeds of rows that the plan has more of."""
    found = records(means, seeds=seeds, noise=0.001)
    return [dataclasses.replace(r, seeds={"planned": planned, "stochastic": 1}) for r in found]


def test_a_claim_stops_at_the_first_look_at_which_it_stands(records):
    """Seeds that other claims needed change nothing in it; those of a look that is not complete are not looked at."""
    far = dataclasses.replace(CLAIM, looks=(3, 6, 9), smallest_effect=0.0005, smallest_reason="ours")
    study = [far, dataclasses.replace(far, id="C2", rows=("C", "A"))]
    first, second = judge(study, sequential(records, {"A": 1.0, "B": 2.0, "C": 1.0}, seeds=9))
    assert (first.verdict, first.stands, first.look, first.seeds, first.is_open) == ("holds", True, 0, 3, False)
    assert second.look > 0
    assert not second.is_open, "it stands, or its budget is used up"
    again, still = judge(study, sequential(records, {"A": 1.0, "B": 2.0, "C": 1.0}, seeds=5))
    assert again.steps == first.steps
    assert (still.look, still.seeds, still.is_open) == (0, 3, True)


def test_before_the_pilot_is_complete_nothing_is_decided(records):
    found = sequential(records, {"A": 1.0, "B": 2.0}, seeds=4)
    (finding,) = judge([dataclasses.replace(CLAIM, looks=(5, 9))], found)
    assert (finding.verdict, finding.look, finding.is_open) == ("undecided", -1, True)
    assert finding.steps[0].compared.reason == "not all of 5 seeds have been run"
    fixed = [dataclasses.replace(r, seeds={"planned": 1, "stochastic": 0}) for r in found if r.cell.seed == 0]
    (finding,) = judge([dataclasses.replace(CLAIM, looks=(3, 6, 9))], fixed)
    assert finding.look == 2, "rows that no seed changes have one"


def test_the_sequential_study_is_the_one_that_is_simulated(make):
    """`statistics.sequential`, whose errors and power are simulated, decides as `judge` does."""
    looks = (3, 6, 9)
    effects_K = np.array([0.0, 0.8, -2.5, 0.0])
    differences_RSK = np.random.default_rng(5).normal(effects_K, 0.8, size=(4, 9, 4))
    expected_RK = verdicts(differences_RSK, looks, smallest=1.0)
    stated = dataclasses.replace(CLAIM, looks=looks, smallest_effect=1.0, smallest_reason="ours")
    claims = [dataclasses.replace(stated, rows=(f"R{row}", "R0")) for row in range(1, 5)]
    names = {OPEN: "undecided", AHEAD: "fails", BEHIND: "holds", NEGLIGIBLE: "negligible"}
    seen = set()
    for differences_SK, expected_K in zip(differences_RSK, expected_RK, strict=True):
        findings = judge(claims, drawn(make, differences_SK))
        told = [finding.verdict if finding.stands else "undecided" for finding in findings]
        assert told == [names[number] for number in expected_K]
        seen |= set(told)
    assert {"undecided", "holds", "negligible"} <= seen


def test_how_many_seeds_would_settle_what_is_open(records):
    stated = dataclasses.replace(CLAIM, smallest_effect=0.02, smallest_reason="ours")
    (finding,) = judge([stated], records({"A": 1.0, "B": 1.0}, noise=0.02))
    assert finding.verdict == "undecided"
    assert finding.needed > 3
    assert f"{finding.needed:.0f} seeds: `C1`" in to_markdown([finding])
    assert judge([CLAIM], records({"A": 1.0, "B": 1.0}))[0].needed is None, "nobody said what would be enough"


def test_what_its_budget_will_hardly_decide_is_given_up(make):
    """The same spread around an effect that the seeds to come will show is not."""
    around_S = np.array([-1.0, 1.0, 0.0])
    stated = dataclasses.replace(CLAIM, looks=(3, 6), smallest_effect=0.1, smallest_reason="ours", rows=("R1", "R0"))
    for effect, lost in ((0.0, True), (3.0, False)):
        (finding,) = judge([stated], drawn(make, (around_S + effect)[:, None]))
        assert (finding.verdict, finding.is_given_up, finding.is_open) == ("undecided", lost, not lost)
        assert ("chance of less than 0.2 of deciding them: `C1`" in to_markdown([finding])) == lost


def test_a_claim_names_the_budget_where_a_task_stands_under_two(records):
    """D14: the verdict depended on the order of the records: reproduced, refuted, and refuted by another effect."""
    short = records({"A": 1.0, "B": 1.2})
    long = [
        dataclasses.replace(r, id=f"{r.id}-l", cell=dataclasses.replace(r.cell, budget={"epochs": 20}))
        for r in records({"A": 1.0, "B": 0.9})
    ]
    for found in (short + long, long + short):
        (finding,) = judge([CLAIM], found)
        assert finding.verdict == "undecided"
        assert "two records of seed 0 of the row 'A'" in finding.steps[0].compared.reason
        assert "name the budget" in finding.steps[0].compared.reason
        named = [dataclasses.replace(CLAIM, budget={"epochs": epochs}) for epochs in (10, 20)]
        assert [one.verdict for one in judge(named, found)] == ["holds", "fails"]
