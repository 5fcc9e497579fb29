"""Published figures next to ours: which of our metrics is compared with which of theirs."""

from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.published import PublishedTable
from sparsebench.reports.tables.published_comparison import compare_published
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(title="T", description="", baseline="base", unit="molecule")
ONE = PublishedTable("s", ("n",), ("T-1", "other"), ("acc (%)", "acc (%)"), ("x", "y"), (("1", "2"), ("–", "3")))
SEVERAL = PublishedTable("s", (), ("t1", "t1", "t1"), ("validity (%)", "SNN/Test", "Scaf/Test"), ("x",), (("1",) * 3,))


def found(records, published):
    (matrix,) = matrices(records)
    return compare_published(matrix, suite_table(matrix, INFO), published)


def test_one_metric_stands_beside_the_main_one(make):
    shown = found([make.record("base", "t1", score=make.metric(0.5, stderr=None))], ONE)
    assert shown.tasks == ("t1",)
    assert shown.ours == ((1, "base", ("50.0",)),)
    assert shown.theirs == (("x", ("1",)),), "a method without a figure on our tasks is excluded"


def test_several_metrics_stand_beside_those_of_the_same_name(make):
    metrics = {
        "accuracy": make.metric(0.1),
        "validity": make.metric(0.9, stderr=None),
        "snn_test": make.metric(0.6, stderr=None),
    }
    shown = found([make.record("base", "t1", seed, metrics=metrics) for seed in range(2)], SEVERAL)
    assert shown.ours == ((1, "base", ("90.0", "0.600", "–")),), "per cent only where theirs is"


def test_rows_without_any_of_the_tasks_are_excluded_and_numbers_stay(make):
    records = [make.record("base", "t2"), make.record("mine", "t1", metrics={"accuracy": make.metric(0.5)})]
    assert [(number, name) for number, name, _ in found(records, ONE).ours] == [(2, "mine")]
    failed = make.record("bad", "t1", status="failed")
    assert ("bad", ("failed",) * 3) in [entry[1:] for entry in found([*records, failed], SEVERAL).ours]


def test_no_task_in_common(make):
    assert found([make.record("base", "t9")], ONE) is None
