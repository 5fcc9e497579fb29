"""What Every Eval Ever's schema 0.3.0 asks for, field by field: its text is not ours to keep here."""

import hashlib
import json
import re
from pathlib import Path

import pytest

from sparsebench.reports.export.every_eval_ever import export_every_eval_ever, log_of
from sparsebench.reports.records.example_files import ExampleReader

REQUIRED = ("schema_version", "evaluation_id", "retrieved_timestamp", "source_metadata", "model_info", "eval_library")
UUID4 = "[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
PLACE = rf"data/sparsebench-vtab/sparsebench/a-on-vit-tiny-[0-9a-f]{{8}}/{UUID4}"


@pytest.fixture
def record(make):
    outcomes = {"accuracy": make.metric(0.5, n=4, stderr=0.25, chance=0.1)}
    outcomes["rmse"] = make.metric(2.0, unit="kcal/mol", higher_is_better=False, stderr=None, n=4)
    return make.record("a", metrics=outcomes, examples="examples/x.json.gz")


def only_texts(value) -> bool:
    return all(isinstance(text, str) for text in value.values())


def test_a_document_says_score_error_interval_and_direction(record) -> None:
    log = log_of(record, "7")
    assert all(log[name] for name in REQUIRED) and log["schema_version"] == "0.3.0"
    assert log["evaluation_id"] == f"sparsebench.vtab.t/{log['model_info']['id']}/{record.id}/7"
    accuracy, rmse = log["evaluation_results"]
    assert accuracy["metric_config"]["metric_id"] == "accuracy" and not accuracy["metric_config"]["lower_is_better"]
    assert (accuracy["metric_config"]["min_score"], accuracy["metric_config"]["max_score"]) == (0, 1)
    assert accuracy["metric_config"]["metric_unit"] == "proportion"
    uncertainty = accuracy["score_details"]["uncertainty"]
    assert uncertainty["standard_error"]["value"] == 0.25 and uncertainty["num_samples"] == 4
    interval = uncertainty["confidence_interval"]
    assert 0 < interval["lower"] < 0.5 < interval["upper"] < 1 and interval["confidence_level"] == 0.95
    assert interval["method"] == "Wilson"
    assert rmse["metric_config"]["lower_is_better"] and "score_type" not in rmse["metric_config"]
    assert "uncertainty" not in rmse["score_details"] and rmse["score_details"]["score"] == 2.0
    for result in log["evaluation_results"]:
        assert only_texts(result["generation_config"]["additional_details"])
        assert only_texts(result["score_details"]["details"])
    details = log["model_info"]["additional_details"]
    assert only_texts(details) and details["deployment_type"] == "self_deployed"


def test_answers_lie_beside_their_document_and_add_up(record, make, tmp_path: Path) -> None:
    kept = ExampleReader({record.id: {"correct": [1, 0, 1, 0], "cluster": [0, 0, 1, 1]}}.get)
    records = [record, make.record("b", status="oom")]
    export = export_every_eval_ever(records, tmp_path / "out", kept, now=7.9)
    (document,) = (tmp_path / "out").rglob("*.json")
    (answers,) = (tmp_path / "out").rglob("*.jsonl")
    log = json.loads(document.read_text())
    place = str(document.relative_to(tmp_path / "out"))
    assert re.fullmatch(PLACE + r"\.json", place)
    about = log["detailed_evaluation_results"]
    assert about["file_path"] == place.replace(".json", "_samples.jsonl")
    assert about["checksum"] == hashlib.sha256(answers.read_bytes()).hexdigest()
    lines = [json.loads(line) for line in answers.read_text().splitlines()]
    assert len(lines) == about["total_rows"] == 4
    assert {line["evaluation_id"] for line in lines} == {log["evaluation_id"]}
    assert {line["evaluation_result_id"] for line in lines} == {f"{record.id}/accuracy"}
    mean = sum(line["evaluation"]["score"] for line in lines) / 4
    assert mean == log["evaluation_results"][0]["score_details"]["score"]
    assert export.files == {"answers": 4, "results": 1}
    assert export.left_out["records without a score"] == 1
    again = export_every_eval_ever(records, tmp_path / "again", kept, now=7.9)
    assert (again.path / place).read_bytes() == document.read_bytes()


def test_outcomes_that_are_not_right_or_wrong_are_counted(make, tmp_path: Path) -> None:
    error = make.metric(1.0, unit="kcal/mol", higher_is_better=False)
    record = make.record("a", metrics={"rmse": error}, main_metric="rmse", examples="examples/x.json.gz")
    kept = ExampleReader({record.id: {"prediction": [1.0, 2.0], "target": [2.0, 3.0]}}.get)
    export = export_every_eval_ever([record], tmp_path / "out", kept)
    assert not list(export.path.rglob("*.jsonl"))  # each error is 1, but no answer is right
    assert export.left_out == {"records' outcomes that are not right or wrong": 1}
