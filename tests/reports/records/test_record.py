"""Records: what goes in comes out, and nothing untrustworthy goes in."""

import dataclasses
import json
import math

import pytest
from hypothesis import HealthCheck, given, settings

from sparsebench.reports.records.record import (
    SCHEMA_VERSION,
    Link,
    Metric,
    RecordError,
    TeacherCosts,
    TrainingCosts,
    from_json,
    to_json,
)

from .drawn_records import records


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records())
def test_round_trip(record):
    text = to_json(record)
    assert from_json(text) == record
    assert to_json(from_json(text)) == text


def test_records_of_the_first_schema_load(make):
    """They know one method and one backbone, and no training costs."""
    content = json.loads(to_json(make.record())) | {"schema_version": 1}
    del content["training"]
    for name in ("then", "further_backbones"):
        del content["cell"][name]
    record = from_json(json.dumps(content))
    assert record.training is None
    assert record.cell.links == [Link(method=record.cell.method, config=record.cell.config)]
    assert record.cell.methods == record.cell.method


def test_records_of_the_second_schema_load(make):
    """They knew no costs of a teacher apart."""
    content = json.loads(to_json(make.record(training=TrainingCosts(params=3)))) | {"schema_version": 2}
    del content["training"]["teacher"]
    record = from_json(json.dumps(content))
    assert record.training == TrainingCosts(params=3) and record.schema_version == 2


def test_records_of_the_third_schema_load(make):
    """They had one hash of code, and what a link found of a model stands among their curves."""
    curves = {"compression bytes": [(0.0, 10.0), (1.0, 8.0)]}
    content = json.loads(to_json(make.record(curves=curves))) | {"schema_version": 3}
    del content["costs_code"]
    record = from_json(json.dumps(content))
    assert record.costs_code is None and record.curves == curves and record.details == {}


def test_links_of_a_chain(make):
    cell = make.record(cell={"method": "prune", "then": [Link(method="quantize", config={"bits": 8})]}).cell
    assert [link.method for link in cell.links] == ["prune", "quantize"]
    assert cell.methods == "prune+quantize"


@pytest.mark.parametrize("name", ["flops", "seconds"])
def test_training_costs_are_finite(name):
    with pytest.raises(RecordError, match=f"training costs: {name} is nan"):
        TrainingCosts(**{name: math.nan})


def test_costs_of_a_teacher_are_finite_and_come_back(make):
    with pytest.raises(RecordError, match="teacher costs: seconds is inf"):
        TeacherCosts(seconds=math.inf)
    with pytest.raises(RecordError, match="teacher costs: params_total is -1"):
        TeacherCosts(params_total=-1)
    record = make.record(training=TrainingCosts(params=3, teacher=TeacherCosts(params_total=9, params=2, seconds=1.5)))
    assert from_json(to_json(record)) == record


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["value", "stderr", "chance"])
def test_metric_refuses_numbers_that_are_not_finite(name, value):
    good = {"value": 0.5, "stderr": 0.1, "chance": 0.1}
    with pytest.raises(RecordError, match=f"{name} is {value}") as error:
        Metric(**good | {name: value}, higher_is_better=True, unit="share")
    assert "\n" not in str(error.value)


def test_a_negative_standard_error_is_refused():
    with pytest.raises(RecordError, match="not negative"):
        Metric(value=1.0, stderr=-0.1, higher_is_better=True, unit="")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"status": "failed", "reason": None}, "needs a reason"),
        ({"main_metric": "speed"}, "'speed' is not among"),
        ({"status": "done"}, "none of ok, failed"),
        ({"id": "../up"}, "no file name"),
        ({"schema_version": SCHEMA_VERSION + 1}, "upgrade sparsebench"),
        ({"times": {"train": math.nan}}, "train is nan"),
        ({"curves": {"loss": [(0.0, math.inf)]}}, "curve 'loss'"),
    ],
)
def test_inconsistent_records_are_refused(make, change, message):
    with pytest.raises(RecordError, match=message):
        dataclasses.replace(make.record(), **change)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (["surprise"], 1, "surprise"),
        (["cell", "sed"], 1, "cell.sed"),
        (["cell", "seed"], "1", "cell.seed"),
        (["cell", "seed"], True, "cell.seed"),
        (["metrics", "accuracy", "value"], "0.5", "metrics.accuracy.value"),
        (["status"], "done", "status"),
        (["metrics", "accuracy", "value"], 1e200, "value is 1e\\+200; records hold finite numbers below 1e\\+100"),
        (["metrics", "accuracy", "value"], math.nan, "value is nan"),
        (["metrics", "accuracy", "stderr"], 1e308, "stderr is 1e\\+308"),
        (["metrics", "accuracy", "n"], -1, "n is -1; a count lies between 0 and 2\\^63"),
        (["metrics", "accuracy", "n"], 10**40, "n is a whole number of 133 bits"),
        (["times", "train"], 1e300, "train is 1e\\+300"),
        (["environment", "libraries"], 3, "environment.libraries must hold versions by name"),
    ],
)
def test_reading_is_strict_and_takes_numbers_that_can_be_reckoned_with(make, path, value, message):
    content = json.loads(to_json(make.record()))
    place = content
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(RecordError, match=message):
        from_json(json.dumps(content))


def test_a_missing_field_is_named(make):
    content = json.loads(to_json(make.record()))
    del content["cell"]["dtype"]
    with pytest.raises(RecordError, match=r"cell\.dtype"):
        from_json(json.dumps(content))


def test_a_newer_schema_is_the_first_complaint(make):
    content = json.loads(to_json(make.record())) | {"schema_version": SCHEMA_VERSION + 1, "new_field": 1}
    with pytest.raises(RecordError, match="upgrade sparsebench"):
        from_json(json.dumps(content))


class Uncopied:
    def __deepcopy__(self, memo: dict) -> None:
        raise RuntimeError("only leaves can be copied")


def nested(depth: int) -> list:
    content: list = []
    for _ in range(depth):
        content = [content]
    return content


@pytest.mark.parametrize("value", [math.nan, object(), {1, 2}, Uncopied(), "half \ud800", nested(5000)])
def test_free_fields_must_be_json(make, value):
    with pytest.raises(RecordError, match="cannot be written as JSON"):
        to_json(make.record(details={"x": value}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"metrics": {"accuracy": Metric(value=0.5, n=16.0, higher_is_better=True, unit="")}}, r"accuracy\.n"),  # type: ignore[arg-type]
        ({"warnings": [3]}, r"warnings\.0"),
        ({"environment": {"libraries": []}}, "environment.libraries"),
    ],
)
def test_what_could_not_be_read_again_is_not_written(make, change, message):
    with pytest.raises(RecordError, match=message):
        to_json(dataclasses.replace(make.record(), **change))


def test_a_budget_key_of_an_earlier_version_is_read_under_its_name_of_today(make):
    content = json.loads(to_json(make.record()))
    content["cell"]["budget"] = {"epochs": 3, "train_share": 0.1}
    assert from_json(json.dumps(content)).cell.budget == {"epochs": 3, "train_fraction": 0.1}


def test_a_record_prints_as_one_line_and_shows_its_scores(make):
    record = make.record("<a>", "digits", seed=3, score=make.metric(0.5, n=7, stderr=None))
    assert str(record) == f"{record.id}: <a> on vit-tiny on vtab digits, seed 3: accuracy 0.5"
    shown = record._repr_html_()
    assert "&lt;a&gt;" in shown and "<th>accuracy</th><td>0.5</td><td></td><td>7</td>" in shown
    assert str(make.record(status="oom", reason="over 4 GB")).endswith("seed 0: oom: over 4 GB")
