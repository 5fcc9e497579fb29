"""Two sides compared, and every row against the baseline."""

import pytest

from sparsebench.reports.tables.brief import briefs
from sparsebench.reports.tables.comparison import compare, contrasts, select
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table
from sparsebench.reports.tables.summary import summary

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image")


def test_better_worse_undecided(make):
    a = make.side("a", [0.8, 0.81, 0.82], "t") + make.side("a", [0.5, 0.6, 0.7], "u")
    b = make.side("b", [0.7, 0.71, 0.71], "t") + make.side("b", [0.6, 0.5, 0.7], "u")
    assert {line.name: line.outcome for line in compare(a, b)} == {"t": "better", "u": "undecided"}
    assert {line.name: line.outcome for line in compare(b, a)} == {"t": "worse", "u": "undecided"}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"task_version": "2"}, "task version 1 against 2"),
        ({"suite_version": "2"}, "suite version 1 against 2"),
        ({"dtype": "bfloat16"}, "dtype float32 against bfloat16"),
        ({"budget": {"epochs": 20}}, "epochs 10 against 20"),
    ],
)
def test_what_differs_is_not_compared(make, change, reason):
    (line,) = compare(make.side("a", [0.8, 0.9]), make.side("b", [0.8, 0.9], **change))
    assert line.outcome == "not comparable"
    assert reason in line.reason


def test_a_task_of_one_side_only(make):
    lines = compare(make.side("a", [0.8], "t") + make.side("a", [0.8], "u"), make.side("b", [0.8], "t"))
    assert [line.reason for line in lines if line.name == "u"] == ["only side A has it"]


def test_a_suite_of_one_side_only(make):
    """It was said to have another version: "suite version 1 against none"."""
    lines = compare(make.side("a", [0.8]) + make.side("a", [0.8], suite="llm"), make.side("b", [0.8]))
    assert [(line.name, line.reason) for line in lines if line.suite == "llm"] == [("all tasks", "only side A has it")]


def test_other_seeds_are_no_pairs(make):
    a = [make.record("a", seed=s) for s in (0, 1)]
    b = [make.record("b", seed=s) for s in (2, 3)]
    (line,) = compare(a, b)
    assert line.reason == "no seed with a score on both sides"


def test_two_folders_label_by_label(make):
    a = make.side("x", [0.8, 0.81, 0.82]) + make.side("y", [0.5, 0.51, 0.52])
    b = make.side("x", [0.7, 0.71, 0.71]) + make.side("z", [0.5, 0.51, 0.52])
    (line,) = compare(a, b, same_label=True)
    assert (line.name, line.outcome) == ("x: t", "better")


def test_select_knows_near_names(make):
    records = make.side("LoRA r=8", [0.5])
    assert select(records, "LoRA r=8") == records
    with pytest.raises(ValueError, match="did you mean 'LoRA r=8'"):
        select(records, "lora r=8")


def test_rows_that_share_no_backbone_are_compared_on_each_and_the_backbones_are_named(make):
    """R17: the table was empty, without a word."""
    a = make.side("GIN", [0.8, 0.81, 0.82], backbone="gin")
    b = make.side("probe", [0.7], backbone="ecfp4") + make.side("probe", [0.75], backbone="graph2seq")
    lines = compare(a, b)
    assert [line.name for line in lines] == ["t · gin − ecfp4", "t · gin − graph2seq"]
    assert [line.outcome for line in lines] == ["better", "better"]
    assert lines[0].note == "the backbones differ: gin against ecfp4"
    assert [line.name for line in compare(b, a)] == ["t · ecfp4 − gin", "t · graph2seq − gin"]


def test_a_side_whose_seeds_failed_is_paired_seed_by_seed_and_the_loss_is_told(make):
    """R10: the difference was -1.1 "of 3 pairs" for -0.1 of one."""
    plan = {"planned": 3, "stochastic": 1}
    a = [make.record("a", seed=0, score=0.5, seeds=plan)]
    a += [make.record("a", seed=seed, status="failed", seeds=plan) for seed in (1, 2)]
    b = [make.record("b", seed=seed, score=value, seeds=plan) for seed, value in enumerate((0.6, 0.9, 0.95))]
    (line,) = compare(a, b)
    assert (line.difference.pairs, line.difference.lost) == (1, 2)
    assert line.difference.estimate.mean == pytest.approx(-0.1)
    assert line.outcome == "one seed"


def test_one_seed_of_a_row_that_the_seed_changes_is_no_verdict(make):
    """D6: ten rows that are alike gave a "better" or "worse" in half of the tables."""
    stochastic = {"planned": 1, "stochastic": 1}
    a = [make.record("a", score=0.9, seeds=stochastic)]
    b = [make.record("b", score=0.5, seeds={"planned": 1, "stochastic": 0})]
    (line,) = compare(a, b)
    assert (line.outcome, line.difference.p, line.difference.equivalence_p) == ("one seed", None, None)
    assert "--seeds 3" in line.reason
    (line,) = compare([make.record("a", score=0.9, seeds={"planned": 1, "stochastic": 0})], b)
    assert (line.outcome, line.reason) == ("better", None)


def test_equivalence_within_the_margin_of_the_suite(make):
    a, b = make.side("a", [0.5, 0.501, 0.499]), make.side("b", [0.5, 0.5, 0.5])
    (line,) = compare(a, b, margins={"vtab": {"share": 0.01}})
    assert (line.outcome, line.difference.margin) == ("equivalent", 0.01)
    assert compare(a, b)[0].outcome == "undecided"


def test_a_row_on_a_backbone_without_the_baseline_is_compared_with_the_best_one(make):
    """R17: the best row of all stood in no contrast."""
    records = make.side("base", [0.5, 0.51, 0.52], backbone="one") + make.side("base", [0.6], backbone="two")
    records += make.side("graph net", [0.9, 0.91, 0.92], backbone="three")
    (matrix,) = matrices(records)
    (found,) = contrasts(matrix, INFO)
    assert (found.row.label, found.row.backbone, found.baseline) == ("graph net", "three", "base · two")
    assert found.baseline_row.backbone == "two"
    assert found.difference.estimate.mean == pytest.approx(0.31)


def named(make):
    """Two backbones with a baseline each that the plan names, beside the suite's own."""
    records = []
    for backbone, scores in (
        ("one", {"small": 0.6, "base": 0.5, "LoRA small": 0.65}),
        ("two", {"large": 0.7, "base": 0.5, "LoRA large": 0.75}),
    ):
        for label, low in scores.items():
            records += make.side(label, [low, low + 0.01, low + 0.03], backbone=backbone)
    roles = {"small": "baseline", "large": "baseline"}
    (matrix,) = matrices(records, roles={records[0].cell.suite: roles})
    return matrix


def test_rows_are_compared_with_the_baselines_that_the_plan_names(make):
    matrix = named(make)
    assert {(c.row.label, c.row.backbone): c.baseline for c in contrasts(matrix, INFO)} == {
        ("base", "one"): "small",
        ("base", "two"): "large",
        ("LoRA small", "one"): "small",
        ("LoRA large", "two"): "large",
    }
    shown = suite_table(matrix, INFO)
    assert {line.row.label: line.role for line in shown.lines} == {
        "small": "baseline",
        "large": "baseline",
        "base": "method",
        "LoRA small": "method",
        "LoRA large": "method",
    }
    assert {line.row.label for line in shown.lines[:2]} == {"small", "large"}
    (brief,) = briefs(shown, contrasts(matrix, INFO))
    assert summary(matrix, brief).title == "2 of 4 methods beat the baselines"


def test_a_named_baseline_that_did_not_run_on_a_task_is_not_its_baseline(make):
    records = make.side("base", [0.5, 0.51, 0.53]) + make.side("LoRA", [0.6, 0.61, 0.63])
    error = make.metric(0.7, higher_is_better=False, unit="rmse")
    records.append(make.record("small", "u", metrics={"rmse": error}, main_metric="rmse"))
    (matrix,) = matrices(records, roles={records[0].cell.suite: {"small": "baseline"}})
    assert [(c.row.label, c.baseline) for c in contrasts(matrix, INFO)] == [("LoRA", "base")]


def test_contrasts_are_corrected_over_the_rows(make):
    tasks = ("t", "u")
    records = [r for task in tasks for r in make.side("base", [0.5, 0.52, 0.49], task)]
    records += [r for task in tasks for r in make.side("a", [0.6, 0.63, 0.61], task)]
    records += [r for task in tasks for r in make.side("b", [0.7, 0.73, 0.71], task)]
    (matrix,) = matrices(records)
    found = {c.row.label: c.difference for c in contrasts(matrix, INFO)}
    assert set(found) == {"a", "b"}
    alone = found["a"].corrected(1)
    assert found["a"].p == pytest.approx(2 * alone.p)
    assert found["a"].estimate.half_width > alone.estimate.half_width
    assert [(c.seeds, c.difference.tasks) for c in contrasts(matrix, INFO)] == [(3, 2)] * 2


GROUPED = SuiteInfo(
    title="Language",
    description="",
    baseline="base",
    unit="token",
    group_baselines={"text": "probe", "choice": "base"},
)


def grouped(make):
    """Two zero-shot tasks, two text tasks on another backbone, and one that trains the first backbone."""
    records = []
    for label, low in (("base", 0.5), ("MoE", 0.4)):
        records += [r for t in ("zero", "shot") for r in make.side(label, [low, low + 0.01, low + 0.03], t)]
    for label, low in (("probe", 0.7), ("LoRA", 0.8)):
        cell = {"group": "text", "backbone": "encoder"}
        records += [r for t in ("text a", "text b") for r in make.side(label, [low, low + 0.01, low + 0.03], t, **cell)]
    for label, low in (("base", 0.3), ("LoRA", 0.35)):
        records += make.side(label, [low, low + 0.01, low + 0.03], "choice", group="choice")
    (matrix,) = matrices(records)
    return matrix


def test_groups_with_a_baseline_of_their_own_are_compared_with_it(make):
    found = {(c.row.label, c.family): c for c in contrasts(grouped(make), GROUPED)}
    assert {key: c.baseline for key, c in found.items()} == {
        ("MoE", "accuracy"): "base",
        ("LoRA", "text accuracy"): "probe",
        ("LoRA", "choice (accuracy)"): "base",
    }
    assert found["LoRA", "text accuracy"].difference.estimate.mean == pytest.approx(0.1)
    assert found["LoRA", "text accuracy"].difference.tasks == 2
    assert found["MoE", "accuracy"].difference.estimate.mean == pytest.approx(-0.1)


def test_such_groups_have_averages_of_their_own_and_all_baselines_come_first(make):
    shown = suite_table(grouped(make), GROUPED)
    assert [average.title for average in shown.averages] == ["mean accuracy", "mean text accuracy"]
    assert [len(average.columns) for average in shown.averages] == [2, 2]
    assert {line.row.label for line in shown.lines[:2]} == {"base", "probe"}
    assert shown.cost_titles[-1] == "speed / base or probe"


def test_a_line_prints_and_shows_what_the_test_says(make):
    (line,) = compare(make.side("a", [0.80, 0.81, 0.83]), make.side("<b>", [0.70, 0.71, 0.72]))
    assert str(line).startswith("vtab · t · +10.3 [8.9, 11.8] points · ") and str(line).endswith(" · 3 · better")
    assert "<td>+10.3 [8.9, 11.8] points</td>" in line._repr_html_()
    (line,) = compare(make.side("a", [0.8]), make.side("b", [0.8], dtype="bfloat16"))
    assert str(line).endswith("not comparable: dtype float32 against bfloat16")
