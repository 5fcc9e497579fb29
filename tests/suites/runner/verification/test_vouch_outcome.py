"""Four outcomes by status, distance, training, processor and libraries."""

import dataclasses
from typing import Any

import pytest

from sparsebench.reports.records.record import Metric, Record, TrainingCosts
from sparsebench.suites.runner.verification.vouch_outcome import EXAMPLES, compare

from .. import cells
from ..cells import INFO

HERE = {"processor_type": "Maker family 1", "device": "cpu"}
METRIC = Metric(value=0.5, stderr=0.1, n=4, higher_is_better=True, unit="share")
TRAINED = TrainingCosts(params=3)


def record(value: float = 0.5, training: TrainingCosts | None = None, environment: Any = HERE, **fields: Any) -> Record:
    metrics = {"accuracy": dataclasses.replace(METRIC, value=value, **fields)}
    about = {"status": "ok", "reason": None, "metrics": metrics, "main_metric": "accuracy"}
    return cells.record(**about, training=training, environment=environment)


@pytest.mark.parametrize(
    ("distance", "trained", "elsewhere", "libraries", "outcome"),
    [
        (0.0, True, True, True, "equal"),
        (1e-10, False, False, False, "outside"),
        (1e-10, False, True, False, "rounding"),
        (1e-10, False, False, True, "rounding"),
        (1e-8, False, True, True, "outside"),
        (1e-10, True, True, False, "undecided"),
        (4e-6, True, True, True, "undecided"),
        (2e-5, True, True, True, "outside"),
        (1e-10, True, False, False, "outside"),
        (1e-10, True, False, True, "outside"),
    ],
)
def test_the_table(distance: float, trained: bool, elsewhere: bool, libraries: bool, outcome: str) -> None:
    environment = {**HERE, "processor_type": "Maker family 2"} if elsewhere else HERE
    then = record(environment=environment)
    for training in ((TRAINED, None), (None, TRAINED)) if trained else ((None, None),):
        before = dataclasses.replace(then, training=training[0])
        found = compare(before, record(0.5 * (1 + distance), training[1]), None, None, libraries)
        assert (found.worst, found.metrics) == (outcome, {"accuracy": outcome})
        assert found.numbers.keys() == (set() if outcome == "equal" else {"accuracy"})


def test_bfloat16_is_decided_on_its_own_type_of_processor_alone() -> None:
    coarse = dataclasses.replace(INFO, dtype="bfloat16")
    then = dataclasses.replace(record(environment={**HERE, "processor_type": "another"}), cell=coarse)
    assert compare(then, record(0.4), None, None, False).worst == "undecided"
    assert compare(then, record(n=5), None, None, False).worst == "outside"
    assert compare(dataclasses.replace(then, environment=HERE), record(0.4), None, None, False).worst == "outside"


@pytest.mark.parametrize(
    "other", [{"processor_type": "Other family 1"}, {"processor_type": None}, {"accelerator": "H100"}]
)
def test_no_distance_decides_of_a_training_on_a_processor_of_another_maker(other: dict[str, str | None]) -> None:
    then = record(training=TRAINED, environment=HERE | other)
    assert compare(then, record(0.4, TRAINED), None, None, False).worst == "undecided"
    assert compare(then, record(0.5, TRAINED, n=5), None, None, False).worst == "outside"
    untrained = dataclasses.replace(then, training=None)
    assert compare(untrained, record(0.4), None, None, False).worst == "outside"


@pytest.mark.parametrize("then", [{}, {"device": "cuda"}, {**HERE, "accelerator": "H100"}])
def test_a_processor_that_nobody_knows_or_an_accelerator_rounds_in_its_own_way(then: dict[str, str]) -> None:
    assert compare(record(environment=then), record(0.5 * (1 + 1e-12)), None, None, False).worst == "rounding"


def test_another_status_or_another_kind_of_score_is_outside() -> None:
    failed = dataclasses.replace(record(), status="failed", reason="why", metrics={}, main_metric=None)
    assert compare(record(), failed, None, None, True).reason == "ok then, failed now: why"
    for fields in ({"n": 5}, {"unit": "%"}, {"higher_is_better": False}, {"chance": 0.5}):
        assert compare(record(), record(**fields), None, None, True).worst == "outside", fields
    more = dataclasses.replace(record(), metrics={"accuracy": METRIC, "f1": METRIC})
    found = compare(record(), more, None, None, True)
    assert (found.worst, found.numbers) == ("outside", {"f1": (None, 0.5)})


def test_another_standard_error_is_noted() -> None:
    found = compare(record(), record(stderr=0.2), None, None, False)
    assert (found.worst, found.other_errors) == ("equal", True)
    assert not compare(record(), record(stderr=0.1 * (1 + 1e-12)), None, None, False).other_errors


@pytest.mark.parametrize(
    ("now", "outcome"),
    [
        ({"bits": [1.0, 2.0]}, "equal"),
        ({"bits": [1.0, 2.0], "cluster": [0, 1]}, "equal"),
        ({"bits": [1.0, 2.0 + 1e-12]}, "rounding"),
        ({"bits": [1.0, 2.1]}, "outside"),
        ({"bits": [1.0]}, "outside"),
        ({"bits": [1.0, None]}, "outside"),
        ({"cluster": [0, 1]}, "outside"),
    ],
)
def test_the_columns_of_the_examples_count_and_new_ones_do_not(now: dict[str, list[Any]], outcome: str) -> None:
    found = compare(record(), record(), {"bits": [1.0, 2.0]}, now, libraries=True)
    assert (found.metrics[EXAMPLES], found.worst) == (outcome, outcome)


def test_examples_that_came_out_otherwise_decide_where_their_scores_do() -> None:
    coarse = dataclasses.replace(INFO, dtype="bfloat16")
    here = dataclasses.replace(record(), cell=coarse)
    then = dataclasses.replace(here, environment={**HERE, "processor_type": "Other family 1"})
    columns = {"correct": [1, 0, 1]}
    for others, outcome in (([1, 1, 0], "undecided"), ([1, 0], "outside"), ([1, 0, None], "outside")):
        assert compare(then, record(0.4), columns, {"correct": others}, False).metrics[EXAMPLES] == outcome
    assert compare(here, record(), columns, {"correct": [1, 1, 0]}, False).worst == "outside"
