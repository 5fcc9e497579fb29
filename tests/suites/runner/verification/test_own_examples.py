"""What the examples of a record say of it, and of a difference."""

from dataclasses import replace

import pytest

from sparsebench.reports.records.record import Metric, Record
from sparsebench.suites.runner.verification.own_examples import Columns, contradiction, paired_half_width

from .. import cells


def record(examples: str | None = "examples/i.json.gz", **values: float) -> Record:
    metrics = {
        name.replace("_of_", " "): Metric(value=value, higher_is_better=True, unit="") for name, value in values.items()
    }
    main = next(iter(metrics))
    return cells.record(status="ok", reason=None, metrics=metrics, main_metric=main, examples=examples)


BITS: Columns = {
    "bits": [9.0, 11.0, 40.0, 20.0],
    "bytes": [5.0, 5.0, 10.0, 10.0],
    "domain": ["law", "law", "code", "code"],
}


@pytest.mark.parametrize(
    ("said", "columns"),
    [
        (record(accuracy=0.75), {"correct": [1, 0, 1, 1]}),
        (record(rmse=0.5), {"prediction": [1.5, 2.5], "target": [1.0, 3.0]}),
        (record(bits_per_byte=2.5, bits_per_byte_of_law=2.0, bits_per_byte_of_code=3.0), BITS),
        (record(rmse=0.5000003), {"prediction": [1.5, 2.5], "target": [1.0, 3.0]}),  # what float32 loses
    ],
)
def test_scores_must_be_those_of_their_examples(said: Record, columns: Columns) -> None:
    assert contradiction(said, columns) == ""
    for name, metric in said.metrics.items():
        for value in (metric.value * 1.001, metric.value - 0.1):
            false = replace(said, metrics={**said.metrics, name: replace(metric, value=value)})
            assert contradiction(false, columns).startswith(f"{name} is {value!r} in the record, ")


def test_what_cannot_contradict() -> None:
    assert contradiction(record(accuracy=0.1), None) == "", "some studies are published without their examples"
    assert contradiction(record(macro_f1=0.1), {"correct": [1, 1]}) == "", "no form that gives it"
    assert "names none" in contradiction(record(None, accuracy=1.0), {"correct": [1, 1]})


def test_the_interval_of_a_difference_is_that_of_its_examples() -> None:
    then, now = {"correct": [0, 1, 0, 1, 1]}, {"correct": [1, 1, 0, 1, 1]}
    found = paired_half_width("accuracy", then, now)
    assert found is not None and found[1] == "95 % over the paired differences of 5 examples"
    spread = (0.2 * 0.8 * 5 / 4 / 5) ** 0.5
    assert found[0] == pytest.approx(2.7764451051977987 * spread, rel=1e-5)


def test_an_interval_of_equal_examples_is_what_float32_loses() -> None:
    found = paired_half_width("bits_per_byte", BITS, BITS)
    assert found is not None and 0 < found[0] < 1e-6


def test_examples_of_one_document_count_once() -> None:
    then = {"correct": [0, 0, 1, 1, 0, 0], "cluster": [0, 0, 1, 1, 2, 2]}
    now = {"correct": [1, 1, 1, 1, 0, 0], "cluster": [0, 0, 1, 1, 2, 2]}
    found = paired_half_width("accuracy", then, now)
    alone = paired_half_width("accuracy", {"correct": then["correct"]}, {"correct": now["correct"]})
    assert found is not None and alone is not None
    assert found[1].endswith("6 examples in 3 clusters") and found[0] > alone[0]


@pytest.mark.parametrize(
    ("metric", "now"),
    [
        ("accuracy", None),
        ("macro_f1", {"correct": [1, 1]}),
        ("rmse", {"prediction": [1.0, 2.0], "target": [1.0, 4.0]}),
    ],
)
def test_what_cannot_be_paired(metric: str, now: Columns | None) -> None:
    then = {"correct": [1, 0], "prediction": [1.0, 2.0], "target": [1.0, 3.0]}
    assert paired_half_width(metric, then, now) is None
