"""Records as a matrix: which are one row, which are one column, and what is paired with what."""

from sparsebench.reports.matrix import matrices, pairs, setting
from sparsebench.reports.record import Costs
from sparsebench.reports.statistics import Score


def test_two_suite_versions_are_two_tables(make):
    records = [make.record("base", cell={"suite_version": version}) for version in ("1", "2")]
    assert [matrix.version for matrix in matrices(records)] == ["1", "2"]


def test_a_column_is_described_by_the_first_good_record(make):
    records = [make.record("a", status="failed", reason="x"), make.record("b", score=make.metric(0.5, chance=0.1))]
    (column,) = matrices(records)[0].columns
    assert (column.metric, column.unit, column.chance) == ("accuracy", "share", 0.1)
    (column,) = matrices(records[:1])[0].columns
    assert column.metric == ""


def test_what_varies_within_a_task_names_the_rows(make):
    records = [make.record("a", cell={"dtype": dtype}) for dtype in ("float32", "bfloat16")]
    records += [make.record("a", "u", cell={"budget": {"epochs": 3}})]
    (matrix,) = matrices(records)
    assert [row.variant for row in matrix.rows] == ["dtype=float32", "dtype=bfloat16"]
    assert setting(records[-1]) == {"epochs": "3", "dtype": "float32"}


def test_scores_are_those_of_the_seeds_that_went_well(make):
    records = [make.record("a", seed=0, score=0.5), make.record("a", seed=1, status="oom")]
    (matrix,) = matrices(records)
    (row,), (column,) = matrix.rows, matrix.columns
    assert {seed: score.value for seed, score in matrix.scores(row, column).items()} == {0: 0.5}
    assert matrix.complete(row, [column])
    assert matrix.record_of(row) is records[0]


def test_columns_of_one_unit_and_direction_are_a_family_and_those_without_a_unit_stand_alone(make):
    scores = {"a": make.metric(0.5), "b": make.metric(0.5), "c": make.metric(1, unit=""), "d": make.metric(1, unit="")}
    (matrix,) = matrices([make.record("x", task, score=score) for task, score in scores.items()])
    assert [[column.task for column in family] for family in matrix.families] == [["a", "b"], ["c"], ["d"]]


def test_the_baseline_of_a_row_is_on_its_backbone_or_the_only_one(make):
    records = [make.record("base", cell={"backbone": name}) for name in ("one", "two")]
    records += [make.record("x", cell={"backbone": name}) for name in ("two", "three")]
    (matrix,) = matrices(records)
    found = {(row.label, row.backbone): matrix.baseline("base", row) for row in matrix.rows}
    assert found["x", "two"].backbone == "two"
    assert found["x", "three"] is None
    (matrix,) = matrices(records[1:])
    assert matrix.baseline("base", matrix.rows[-1]).backbone == "two"


def test_a_cost_is_the_median_of_what_was_measured(make):
    records = [make.record("a", seed=i, costs=Costs(bytes=size, unit="x")) for i, size in enumerate((1, 5, 100))]
    records += [make.record("a", "u", costs=Costs(unit="x")), make.record("a", "v")]
    (matrix,) = matrices(records)
    (row,) = matrix.rows
    assert matrix.cost(row, lambda costs: costs.bytes) == 5
    assert matrix.cost(row, lambda costs: costs.flops) is None


def test_pairs_are_of_one_seed_and_a_single_record_pairs_with_all():
    few, many = {1: Score(0.1), 2: Score(0.2)}, {2: Score(0.5), 3: Score(0.6)}
    assert pairs(few, many) == [(Score(0.2), Score(0.5))]
    assert pairs({0: Score(0.9)}, many) == [(Score(0.9), Score(0.5)), (Score(0.9), Score(0.6))]
    assert pairs(few, {7: Score(0.0)}) == [(Score(0.1), Score(0.0)), (Score(0.2), Score(0.0))]
    assert pairs(few, {}) == []
