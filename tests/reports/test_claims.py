"""Claims judged by made-up records whose truth is known."""

import dataclasses

import numpy as np
import pytest

from sparsebench.reports.claims import Claim, count_verdicts, effects, expectation, judge, to_markdown
from sparsebench.reports.page.render import render
from sparsebench.reports.statistics.example_files import ExampleReader
from sparsebench.reports.tables import SuiteInfo

CLAIM = Claim(
    id="C1",
    statement="A needs fewer bits than B.",
    source="somebody | 2026",
    suite="llm",
    backbone="net",
    tasks=("t",),
    metric="bits",
    rows=("A", "B"),
    direction="lower",
)


@pytest.fixture
def records(make):
    def build(means, seeds=3, noise=0.01, task="t", **fields):
        """One record per row and seed; the noise of a seed is shared by all rows, as data would be."""
        return [
            make.record(
                label,
                task,
                seed,
                cell={"suite": "llm", "backbone": "net"},
                metrics={"bits": make.metric(mean + noise * seed * (1 + i), higher_is_better=False, unit="bits/byte")},
                main_metric="bits",
                times={"total": 2.0},
                environment={"processor": "chip", "cores": 2},
                **fields,
            )
            for i, (label, mean) in enumerate(means.items())
            for seed in range(seeds)
        ]

    return build


def verdict(records, **changes):
    (finding,) = judge([dataclasses.replace(CLAIM, **changes)], records)
    return finding.verdict


def test_the_interval_decides(records):
    assert verdict(records({"A": 1.0, "B": 2.0})) == "reproduced"
    assert verdict(records({"A": 2.0, "B": 1.0})) == "refuted"
    assert verdict(records({"A": 1.0, "B": 1.0})) == "undecided"
    assert verdict(records({"A": 2.0, "B": 1.0}), direction="higher") == "reproduced"


def test_the_effect_is_the_paired_difference_with_students_interval(records):
    (finding,) = judge([CLAIM], records({"A": 1.0, "B": 2.0}))
    effect = finding.steps[0].effect
    assert effect.mean == pytest.approx(-1.01)  # the differences are -1.00, -1.01 and -1.02
    assert effect.half_width == pytest.approx(4.302652729911275 * 0.01 / 3**0.5)
    assert (finding.seeds, finding.seconds, finding.machines) == (3, 12.0, ("chip, 2 cores",))
    assert list(effects(finding)) == ["A − B: −1.010 [−1.035, −0.985] bits/byte over seeds"]


def test_a_margin_must_be_passed_by_the_whole_interval(records):
    found = records({"A": 1.0, "B": 2.0})
    assert verdict(found, margin=0.9) == "reproduced"
    assert verdict(found, margin=1.0) == "undecided"
    assert verdict(found, margin=1.1) == "refuted"


def test_equal_means_within_the_margin(records):
    near, far = records({"A": 1.0, "B": 1.01}), records({"A": 1.0, "B": 2.0})
    assert verdict(near, relation="equal", margin=0.1) == "reproduced"
    assert verdict(far, relation="equal", margin=0.1) == "refuted"
    assert verdict(near, relation="equal", margin=0.02) == "undecided"


def test_an_ordering_is_as_good_as_its_worst_step(records):
    found = records({"A": 1.0, "B": 2.0, "C": 3.0, "D": 0.5, "E": 2.0})
    assert verdict(found, rows=("A", "B", "C")) == "reproduced"
    assert verdict(found, rows=("A", "B", "D")) == "refuted"
    assert verdict(found, rows=("A", "B", "E")) == "undecided"


def test_a_row_that_has_to_be_ahead_of_each_of_the_others(records):
    found = records({"A": 1.0, "B": 3.0, "C": 2.0, "D": 0.5, "E": 1.0})
    assert verdict(found, rows=("A", "B", "C")) == "refuted", "B is behind C"
    assert verdict(found, rows=("A", "B", "C"), relation="first") == "reproduced"
    assert verdict(found, rows=("A", "B", "D"), relation="first") == "refuted"
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
    assert finding.verdict == "reproduced" and finding.steps[0].effect.mean == pytest.approx(-0.5)
    assert next(iter(effects(finding))).startswith("A (best) − A (bits): −0.5")
    (none,) = judge([dataclasses.replace(by_best, metric="worst")], found)
    assert (none.verdict, none.steps[0].reason) == ("undecided", "A has no score on t")
    assert verdict(found, metric="best", against="bits", rows=("A", "B")) == "refuted"


def test_tasks_are_averaged(records):
    found = records({"A": 1.0, "B": 1.5}) + records({"A": 1.0, "B": 0.7}, task="u")
    assert verdict(found, tasks=("t", "u")) == "reproduced"
    assert judge([dataclasses.replace(CLAIM, tasks=("t", "u"))], found)[0].steps[0].effect.mean == pytest.approx(-0.11)


def test_one_deterministic_record_is_paired_with_every_seed(records):
    found = records({"A": 1.0}, seeds=1) + records({"B": 2.0})
    assert verdict(found) == "reproduced"


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
    assert finding.steps[0].reason == "fewer than 3 seeds, 2 of 3 pairs lost"


def test_claims_of_papers_and_our_own_are_counted_apart(records):
    """R18: 12 of 35 statements that were counted as what papers claim were our own."""
    ours = dataclasses.replace(CLAIM, id="C2", rows=("B", "A"), ours=True)
    older = dataclasses.replace(CLAIM, id="C3", source="our own")
    findings = judge([CLAIM, ours, older], records({"A": 1.0, "B": 2.0}))
    assert count_verdicts(findings) == "1 claim of papers: 1 reproduced; 2 of our own: 1 reproduced, 1 refuted."
    assert count_verdicts(findings[1:2]) == "1 of our own: 1 refuted."


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


def test_expectations_in_words():
    assert expectation(CLAIM) == "A < B in bits"
    assert expectation(dataclasses.replace(CLAIM, direction="higher", margin=0.5)) == "A > B in bits, margin 0.5"
    assert expectation(dataclasses.replace(CLAIM, relation="equal", margin=0.5)) == "A ≈ B in bits, margin 0.5"
    star = dataclasses.replace(CLAIM, rows=("A", "B", "C"), relation="first")
    assert expectation(star) == "A < B; A < C in bits"
    itself = dataclasses.replace(CLAIM, rows=("A", "A"), metric="best", against="bits", margin=0.5)
    assert expectation(itself) == "A (best) < A (bits), margin 0.5"


def test_the_document_and_the_page_show_the_verdicts(records, tmp_path):
    found = records({"A": 1.0, "B": 2.0})
    findings = judge([CLAIM, dataclasses.replace(CLAIM, id="C2", rows=("B", "A"), note="our own")], found)
    text = to_markdown(findings)
    assert "2 claims of papers: 1 reproduced, 1 refuted." in text
    assert "Machine: chip, 2 cores." in text
    assert r"somebody \| 2026" in text
    row = next(line for line in text.splitlines() if line.startswith("| C1"))
    for part in ("A < B in bits; net, t", "reproduced", "−1.010 [−1.035, −0.985] bits/byte", "| 3 |", "12 s"):
        assert part in row
    infos = {"llm": SuiteInfo(title="Language", description="", baseline="A", unit="token")}
    page = render(found, [], tmp_path, infos, findings=findings).read_text()
    assert (tmp_path / "claims.md").read_text() == text
    assert 'id="claims"' in page
    assert "our own" in page
    assert 'id="claims"' not in render(found, [], tmp_path / "without", infos).read_text()
    assert not (tmp_path / "without" / "claims.md").exists()


def test_a_claim_about_backbones_compares_rows_wherever_they_ran(records):
    moved = [
        dataclasses.replace(r, cell=dataclasses.replace(r.cell, backbone=f"net of {r.cell.label}"))
        for r in records({"A": 1.0, "B": 2.0})
    ]
    assert judge([CLAIM], moved)[0].verdict == "undecided"
    (finding,) = judge([dataclasses.replace(CLAIM, backbone="")], moved)
    assert finding.verdict == "reproduced" and finding.seeds == 3
    assert "A < B in bits; t |" in to_markdown([finding])
