"""Outcomes by question as lines of Every Eval Ever's `instance_level_eval.schema.json`.

Records keep whether each answer was right, not the questions and the answers themselves: these fields are empty, and
the metadata say so. A question is named by its place in the test set of its task, in which all rows of one budget see
it. Outcomes that are neither right nor wrong (losses, distances) have no place in the schema.
"""

import json
from collections.abc import Mapping
from typing import Any

from ..records.example_files import ExampleReader
from ..records.record import Record
from ..statistics.examples import ExampleScores

NOT_KEPT = {"input": "not kept", "output": "not kept"}


def question_lines(record: Record, log: Mapping[str, Any], examples: ExampleReader) -> list[str]:
    """A line for each question and metric whose outcomes are right or wrong.

    Args:
        record: with status "ok".
        log: its document (`log_of`), which the lines name.
        examples: reader of the outcomes.

    Returns:
        Lines of JSON, each with its line break; none where nothing is right or wrong.
    """
    lines = []
    results = zip(record.metrics.items(), log["evaluation_results"], strict=True)
    for (name, metric), result in results:
        found = examples.scores(record.id, name, metric.value)
        if found is None or not _right_or_wrong(found, metric.unit):
            continue
        for place, value in enumerate(found.values.tolist()):
            lines.append(_line(record, log, result, place, value, found))
    return lines


def _right_or_wrong(found: ExampleScores, unit: str) -> bool:
    """Whether the score is a fraction of answers; of other scores the contributions can be 0 and 1 by chance."""
    return unit == "share" and len(found.weights) == 1 and set(found.values.tolist()) <= {0.0, 1.0}


def _line(
    record: Record, log: Mapping[str, Any], result: Mapping[str, Any], place: int, value: float, found: ExampleScores
) -> str:
    cell = record.cell
    metadata = dict(NOT_KEPT)
    if found.clusters is not None:
        metadata["cluster"] = str(found.clusters[place])
    line = {
        "schema_version": log["schema_version"],
        "evaluation_id": log["evaluation_id"],
        "model_id": log["model_info"]["id"],
        "evaluation_name": result["evaluation_name"],
        "evaluation_result_id": result["evaluation_result_id"],
        "sample_id": f"{cell.task}@{cell.task_version}/{place}",
        "interaction_type": "single_turn",
        "input": {"raw": "", "reference": []},
        "output": {"raw": []},
        "answer_attribution": [],
        "evaluation": {"score": value, "is_correct": value == 1.0},
        "metadata": metadata,
    }
    return json.dumps(line, separators=(",", ":")) + "\n"
