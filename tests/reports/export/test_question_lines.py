"""A line for each question whose answer is right or wrong."""

import json

from sparsebench.reports.export.every_eval_ever import log_of
from sparsebench.reports.export.question_lines import question_lines
from sparsebench.reports.records.example_files import ExampleReader


def test_a_line_says_right_or_wrong_and_what_is_not_known(make) -> None:
    record = make.record("a", score=make.metric(0.75), examples="examples/x.json.gz")
    kept = ExampleReader(lambda id: {"correct": [1, 1, 0, 1], "cluster": ["x", "y", "y", "x"]})
    lines = [json.loads(line) for line in question_lines(record, log_of(record, "7"), kept)]
    assert [line["evaluation"]["is_correct"] for line in lines] == [True, True, False, True]
    assert [line["sample_id"] for line in lines] == [f"t@1/{place}" for place in range(4)]
    assert [line["metadata"]["cluster"] for line in lines] == ["0", "1", "1", "0"]
    first = lines[0]
    assert first["interaction_type"] == "single_turn" and "messages" not in first
    assert first["input"] == {"raw": "", "reference": []} and first["output"] == {"raw": []}
    assert first["metadata"]["input"] == "not kept"


def test_outcomes_that_do_not_make_the_score_give_none(make) -> None:
    record = make.record("a", score=make.metric(0.25))
    kept = ExampleReader(lambda id: {"correct": [1, 1, 0, 1]})
    assert question_lines(record, log_of(record, "7"), kept) == []
