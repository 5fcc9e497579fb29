"""Records as a matrix: which are one row, which are one column, and what is paired with what."""

import pytest

from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.record import Costs
from sparsebench.reports.records.record_limits import RecordError
from sparsebench.reports.tables.matrix import matrices, processor_type, setting, side_of, trials_of


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
    found = {(row.label, row.backbone): matrix.baselines(["base"], row) for row in matrix.rows}
    assert [base.backbone for base in found["x", "two"]] == ["two"]
    assert found["x", "three"] == []
    (matrix,) = matrices(records[1:])
    assert [base.backbone for base in matrix.baselines(["base"], matrix.rows[-1])] == ["two"]


def test_a_cost_is_the_median_of_what_was_measured(make):
    records = [make.record("a", seed=i, costs=Costs(bytes=size, unit="x")) for i, size in enumerate((1, 5, 100))]
    records += [make.record("a", "u", costs=Costs(unit="x")), make.record("a", "v")]
    (matrix,) = matrices(records)
    (row,) = matrix.rows
    assert matrix.cost(row, lambda costs: costs.bytes) == 5
    assert matrix.cost(row, lambda costs: costs.flops) is None


def test_a_side_knows_from_its_records_what_was_planned(make):
    """R10: one good seed of three planned ones is no deterministic row."""
    seeds = {"planned": 3, "stochastic": 1}
    lost = [make.record("a", seed=s, status="failed", seeds=seeds) for s in (1, 2)]
    side = side_of([make.record("a", seed=0, score=0.5, seeds=seeds), *lost], "accuracy")
    assert (list(side.scores), side.planned, side.stochastic) == ([0], 3, True)
    fixed = side_of([make.record("a", seeds={"planned": 1, "stochastic": 0})], "accuracy")
    assert (fixed.planned, fixed.stochastic) == (1, False)
    alone = side_of([make.record("a", seeds={"planned": 1, "stochastic": 1})], "accuracy")
    assert alone.stochastic, "one planned seed is a choice of the plan, not a property of the row"


def test_a_score_of_a_seed_with_its_own_split_knows_how_far_splits_overlap(make) -> None:
    records = [make.record("a", seed=s, score=s / 9, seeds={"split_rows": 100, "split_test": 10}) for s in (0, 1)]
    assert [score.overlap for score in side_of(records, "accuracy").scores.values()] == [1 / 9, 1 / 9]
    assert side_of([make.record("a")], "accuracy").scores[0].overlap is None


def test_of_older_records_the_number_says_it_failed_ones_included(make):
    """R10."""
    whole = make.record("a", seed=0)
    failed = make.record("a", seed=1, status="oom")
    assert side_of([whole, failed], "accuracy").stochastic
    assert side_of([whole, failed], "accuracy").planned == 2
    assert not side_of([whole], "accuracy").stochastic


def test_scores_read_their_examples_only_when_asked(make):
    asked = []

    def read(id):
        asked.append(id)
        return {"correct": [1, 0]}

    record = make.record("a", score=0.5)
    (matrix,) = matrices([record], ExampleReader(read))
    (score,) = matrix.scores(matrix.rows[0], matrix.columns[0]).values()
    assert asked == []
    assert score.read().total() == 0.5
    assert asked == [record.id]


def test_the_type_of_processor_is_that_of_the_record_or_its_name(make):
    new = {"processor": "AMD EPYC", "processor_type": "AMD family 25, avx512_bf16", "accelerator": None}
    assert processor_type(make.record("a", environment=new)) == "AMD family 25, avx512_bf16"
    assert processor_type(make.record("a", environment={"processor": "AMD EPYC"})) == "AMD EPYC"
    assert processor_type(make.record("a", environment=new | {"accelerator": "H100"})).endswith("avx512_bf16, H100")
    assert processor_type(make.record("a", environment={})) == "an unknown processor"


def test_times_are_taken_of_one_type_of_processor(make):
    def measured(label, seed, processor, latency):
        return make.record(
            label, seed=seed, costs=Costs(latency_ms=latency, unit="x"), environment={"processor": processor}
        )

    records = [measured("a", 0, "new", 1.0), measured("b", 0, "new", 2.0), measured("a", 1, "old", 5.0)]
    (matrix,) = matrices(records)
    assert matrix.processors == ("new", "old")
    row = matrix.rows[0]
    latency = [matrix.cost(row, lambda costs: costs.latency_ms, processor) for processor in ("new", "old", None)]
    assert latency == [1.0, 5.0, 3.0]


def test_two_records_of_one_seed_are_refused(make):
    """D14: which of them was compared depended on the order of the files."""
    one = make.record("a", score=0.5)
    two = make.record("a", score=0.9, cell={"budget": {"epochs": 20}})
    with pytest.raises(
        RecordError, match=r"two records of seed 0 of the row 'a' on t, .*epochs 10 and 20.*name the budget"
    ):
        side_of([one, two], "accuracy")
    failed = make.record("a", status="failed", cell={"budget": {"epochs": 20}})
    assert side_of([one, failed], "accuracy").scores[0].value == 0.5


@pytest.mark.parametrize(
    ("value", "stderr", "n", "unit", "trials"),
    [
        (0.98, (0.98 * 0.02 / 63) ** 0.5, 64, "share", 64),
        (0.98, (0.98 * 0.02 / 64) ** 0.5, 64, "share", 64),
        (0.0, 0.0, 1000, "share", 1000),
        (0.98, 0.05, 64, "share", None),
        (0.98, None, 64, "share", None),
        (1.0, 0.0, 64, "bits/byte", None),
    ],
)
def test_what_is_a_fraction_of_right_answers(make, value, stderr, n, unit, trials):
    assert trials_of(make.metric(value, stderr=stderr, n=n, unit=unit)) == trials


def test_two_versions_of_a_task_are_never_averaged(make):
    """Folders of different times bring both; their mean was called one of two tasks, both of one name."""
    records = [make.record("x", task) for task in ("a", "b")]
    records.append(make.record("x", "a", cell={"task_version": "0"}))
    (matrix,) = matrices(records)
    names = [[column.name for column in family] for family in matrix.families]
    version = records[0].cell.task_version
    assert names == [[f"a@{version}", "b"], ["a@0"]]


def test_the_interval_of_a_fraction_on_one_task_ends_at_one(make) -> None:
    """`fit` said that 18 of 18 are 100.0 ± 13.3 %."""
    (matrix,) = matrices([make.record("a", score=make.metric(1.0, n=18, stderr=0.0))])
    found = matrix.mean(matrix.rows[0], matrix.columns)
    assert found.low is not None and 0.75 < found.low < 0.9 and found.high == 1
