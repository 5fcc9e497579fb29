"""Scores in the hub's form for models: `.eval_results/*.yaml` in the repository of a model, a file for each task.

The form is that of https://huggingface.co/docs/hub/eval-results. A model here is a row on its backbone; the value of a
task is the mean over seeds of its main metric, as recorded ("share" is 0 to 1), and the notes say the metric, its
direction, the interval, the seeds, the settings and the ids of the records.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import yaml

from ..records.example_files import ExampleReader
from ..records.record import Record
from ..statistics import Estimate, estimate
from ..tables.matrix import Column, Matrix, Row, matrices, setting
from .written import Export, file_name, staged

FOLDER = ".eval_results"
"""Where the hub looks in the repository of a model."""
OWNER = "sparsebench"
"""Of the data sets that stand for suites, unless another one is named."""


def export_hub(
    records: Sequence[Record], out: Path, dataset: str | None = None, examples: ExampleReader | None = None
) -> Export:
    """Write `out/<model>/.eval_results/<task>.yaml` for each row and task with a score.

    A folder `out/<model>` is what is uploaded to the repository of that model.

    Args:
        records: whole or slim ones.
        out: the folder to make.
        dataset: the benchmark's data set on the hub, "owner/name", which lists the tasks; None is
            "sparsebench/<suite>" of each record.
        examples: reader of the per-example outcomes, for intervals.

    Returns:
        What was written, and how much the form cannot say.

    Raises:
        StoreError: `out` is there already or cannot be written; nothing is left of it.
        RecordError: two records of one row, task and seed.
    """
    export = Export(out)
    datasets: set[str] = set()
    with staged(out) as stage:
        stage.mkdir()
        for matrix in matrices(records, examples):
            named = dataset or f"{OWNER}/{matrix.suite}"
            datasets.add(named)
            for row in matrix.rows:
                _write_row(stage, matrix, row, named, export)
    names = ", ".join(sorted(datasets))
    export.note = f"the hub shows a result where its data set (of {names}) is a benchmark that lists its task"
    return export


def _write_row(stage: Path, matrix: Matrix, row: Row, dataset: str, export: Export) -> None:
    folder = stage / file_name(f"{row.label} on {row.backbone}" if row.backbone else row.label) / FOLDER
    for column in matrix.columns:
        records = matrix.cells.get((row, column), [])
        good = [record for record in records if column.metric in record.metrics]
        _count(records, good, export)
        if not good:
            continue
        entry = _entry(matrix, row, column, good, dataset)
        folder.mkdir(parents=True, exist_ok=True)
        name = file_name(f"{matrix.suite}-{matrix.version}.{column.task}-{column.version} {row.variant}".rstrip())
        (folder / f"{name}.yaml").write_text(entry, encoding="utf-8")
        export.files["results"] += 1


def _count(records: Sequence[Record], good: Sequence[Record], export: Export) -> None:
    """What of these records the form has no place for."""
    export.left_out += Counter(
        {
            "records without a score": len(records) - len(good),
            "metrics that are not the main one": sum(len(record.metrics) - 1 for record in good),
            "records' costs": sum(record.costs is not None for record in good),
            "records' outcomes by question": sum(record.examples is not None for record in good),
        }
    )


def _entry(matrix: Matrix, row: Row, column: Column, records: Sequence[Record], dataset: str) -> str:
    """The text of one file."""
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    scores = matrix.scores(row, column)
    found = estimate(list(scores.values()))
    entry = EvalResultEntry(
        dataset_id=dataset,
        task_id=column.task,
        value=found.mean,
        date=max(record.finished for record in records),
        notes=_notes(matrix, column, records, found, sorted(scores)),
    )
    return yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True, width=10**6)


def _notes(matrix: Matrix, column: Column, records: Sequence[Record], found: Estimate, seeds: Sequence[int]) -> str:
    """One line: what the value is, how sure it is, how it was made, and by which records."""
    unit = f" ({column.unit})" if column.unit else ""
    direction = "higher" if column.higher_is_better else "lower"
    parts = [f"{column.metric}{unit}, {direction} is better"]
    parts.append(f"mean over seeds {', '.join(map(str, seeds))}" if len(seeds) > 1 else f"seed {seeds[0]}")
    if found.low is not None and found.high is not None:
        parts.append(f"95 % interval {found.low:.6g} to {found.high:.6g} over {found.covers}")
    parts.append(f"task version {column.version} of {matrix.suite} {matrix.version}")
    parts.append(", ".join(f"{name}={value}" for name, value in sorted(setting(records[0]).items())))
    parts.append(f"method {records[0].cell.methods}")
    parts.append("records " + " ".join(record.id for record in records))
    return "; ".join(parts)
