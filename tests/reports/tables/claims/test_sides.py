"""Changes from uncut models, intervals over trainings and curves as scores, by made-up records whose truth is known."""

import dataclasses

import pytest

from sparsebench.reports.tables.claims import Check, judge
from sparsebench.reports.tables.claims.document import expectation, step_in_words, to_markdown
from sparsebench.reports.tables.claims.sides import at_each_step, curve_of

from .studies import CLAIM

LESS = dataclasses.replace(
    CLAIM, rows=("mixture cut", "twin cut"), base={"mixture cut": "mixture", "twin cut": "twin"}, backbone=""
)
SHIFTS = {"mixture cut": 1, "twin cut": 2}
NETS = {"mixture": "mixture", "mixture cut": "mixture", "twin": "twin", "twin cut": "twin"}


def on_trainings(make, means, draws=1):
    """Records of rows on three trainings: a training shifts both rows of its net, a draw shifts the cut ones."""
    found = []
    for label, mean in means.items():
        planned = draws if label in SHIFTS else 1
        for training in range(3):
            for seed in range(planned):
                shift = 0.1 * training * (1 + ("twin" in label)) + 0.01 * training * SHIFTS.get(label, 0)
                value = mean + shift + 0.3 * (seed - (planned - 1) / 2)
                metrics = {"bits": make.metric(value, higher_is_better=False, unit="bits/byte")}
                about = {"metrics": metrics, "main_metric": "bits", "seeds": {"planned": planned}}
                cell = {"suite": "llm", "backbone": f"{NETS[label]}:{training}"}
                found.append(make.record(label, "t", seed, cell=cell, **about))
    return found


MEANS = {"mixture": 2.0, "mixture cut": 2.3, "twin": 1.5, "twin cut": 1.9}


@pytest.mark.parametrize("draws", [1, 4])
def test_changes_are_compared_over_trainings(make, draws):
    """The mixture is worse than its twin, cut or not, and loses less by the cut: 0.3 of 0.4."""
    records = on_trainings(make, MEANS, draws)
    (finding,) = judge([dataclasses.replace(LESS, trainings=("0", "1", "2"))], records)
    (step,) = finding.steps
    assert (finding.verdict, finding.seeds) == ("holds", 3)
    assert step.effect is not None and step.effect.mean == pytest.approx(-0.11)
    assert step.effect.half_width == pytest.approx(4.302652729911275 * 0.01 / 3**0.5)
    (scores,) = judge([dataclasses.replace(LESS, trainings=("0", "1", "2"), base={})], records)
    assert scores.steps[0].effect is not None and scores.steps[0].effect.mean == pytest.approx(0.29)
    page = to_markdown([finding])
    assert "(mixture cut − mixture) < (twin cut − twin) in bits" in page
    assert "the mean over the draws of calibration data on it counts once" in page


def test_an_interval_is_over_trainings_and_not_over_draws(make):
    """Four draws of each are twelve records, and three independent models."""
    records = on_trainings(make, MEANS, draws=4)
    claim = dataclasses.replace(CLAIM, rows=("mixture cut", "twin"), backbone="", trainings=("0", "1", "2"))
    (finding,) = judge([claim], records)
    effect = finding.steps[0].effect
    # Differences of the trainings' means: 0.8, 0.71 and 0.62.
    assert effect is not None and effect.mean == pytest.approx(0.71)
    assert effect.half_width == pytest.approx(4.302652729911275 * 0.09 / 3**0.5)
    assert "mixture cut − twin: +0.710 [0.486, 0.934] bits/byte over three trainings" in to_markdown([finding])


def test_a_training_with_a_draw_that_went_wrong_is_lost(make):
    records = on_trainings(make, MEANS, draws=2)
    number = next(n for n, r in enumerate(records) if r.cell.label == "mixture cut" and r.cell.backbone == "mixture:1")
    records[number] = dataclasses.replace(records[number], status="failed", reason="broke", metrics={})
    (finding,) = judge([dataclasses.replace(LESS, trainings=("0", "1", "2"))], records)
    assert (finding.verdict, finding.seeds) == ("undecided", 2)
    assert finding.steps[0].compared.reason == "fewer than 3 trainings, 1 of 3 pairs lost"


def test_changes_by_seed_take_a_base_that_no_seed_changes(records):
    found = records({"A": 1.5, "B": 2.0, "a": 1.0})
    once = [r for r in found if r.cell.label != "a"] + [r for r in found if r.cell.label == "a"][:1]
    once = [dataclasses.replace(r, seeds={"planned": 3, "stochastic": int(r.cell.label != "a")}) for r in once]
    (finding,) = judge([dataclasses.replace(CLAIM, base={"A": "a"})], once)
    assert finding.steps[0].effect is not None
    assert finding.steps[0].effect.mean == pytest.approx(-1.51)
    (missing,) = judge([dataclasses.replace(CLAIM, base={"A": "none"})], once)
    assert missing.steps[0].compared.reason == "none has no score on t"


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
    assert [step.compared.at for step in finding.steps] == ["after 24 steps", "after 48 steps", "after 72 steps"]
    assert step_in_words(finding, finding.steps[0]).startswith("A − B after 24 steps: −1.001 [")
    assert expectation(LOSS) == "A < B in val loss at every point of the curve, smallest effect 0.1"


def test_points_that_one_record_lacks_leave_a_claim_of_all_the_training_undecided(records):
    """The curve of one seed that ended at its first point made a claim hold that fails later on."""
    found = with_curves(records({"A": 1.0, "B": 2.0}), (1.0, -0.9))
    last = found[-1]
    found[-1] = dataclasses.replace(last, curves={"2. val loss": last.curves["2. val loss"][:1]})
    (finding,) = judge([LOSS], found)
    assert finding.verdict == "undecided"
    assert finding.steps[-1].compared.reason == "1 of 2 points of the curve are not of every record"


def test_curves_are_read_of_whole_records(records):
    """An index gives records without their curves; what a look knows of the seeds stays."""
    found = records({"A": 1.0, "B": 2.0}, seeds=5)
    whole = {record.id: record for record in with_curves(found, (1.0, 0.9))}
    slim = [dataclasses.replace(record, curves={"2. val loss": []}) for record in found]
    claim = dataclasses.replace(LOSS, looks=(3, 5))
    (finding,) = judge([claim], slim, whole=lambda record: whole[record.id])
    assert (finding.verdict, finding.seeds, finding.look) == ("holds", 3, 0)
    (finding,) = judge([claim], slim)
    assert finding.steps[0].compared.reason == "the records have no common point of a curve 'val loss'"


def test_a_check_may_be_of_the_end_of_a_curve(records):
    found = with_curves(records({"A": 1.0, "B": 2.0}), (1.0, 0.9))
    low = Check(kind="metric", metric="val loss", at_least=4.5, reason="noise decides", rows=("A",))
    (finding,) = judge([dataclasses.replace(CLAIM, checks=(low,))], found)
    assert finding.reason == "val loss 4 of A, below 4.5: noise decides"
