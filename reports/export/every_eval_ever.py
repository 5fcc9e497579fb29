"""Records in the schema of Every Eval Ever (https://github.com/evaleval/every_eval_ever), of the EvalEval coalition.

A record is one run of theirs, so that seeds stay apart: `data/<collection>/<developer>/<model>/<uuid>.json`, with the
answers, where they are right or wrong and were kept, in `<uuid>_samples.jsonl` beside it (`question_lines.py`). The
collection is the suite, the model a row on its backbone; names that nobody gave (developer, source) are ours.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..records.example_files import ExampleReader
from ..records.record import Metric, Record
from ..statistics import estimate
from ..statistics.pairing import Score
from ..tables.dataframe import canonical
from ..tables.matrix import trials_of
from .question_lines import question_lines
from .written import Export, file_name, staged

SCHEMA_VERSION = "0.3.0"
"""Of both files."""
OWNER = "sparsebench"
_UNITS = {"share": "proportion", "%": "percent"}
_ENDS = {"share": (0.0, 1.0), "%": (0.0, 100.0)}
"""Units whose scores have a least and a largest value."""
_GLOBAL_METRICS = {"accuracy": "accuracy", "rmse": "rmse", "roc_auc": "auroc"}
"""Our names of metrics that mean the same everywhere, and theirs; the others are named after their task."""
Document = dict[str, Any]


def export_every_eval_ever(
    records: Sequence[Record], out: Path, examples: ExampleReader | None = None, now: float | None = None
) -> Export:
    """Write a file for each record with a score, and one with its answers where they were kept.

    Args:
        records: whole or slim ones.
        out: the folder to make; `data/` in it has the layout of the coalition's data store.
        examples: reader of the per-example outcomes; None writes none.
        now: when the records were collected, in seconds since 1970; None is now.

    Returns:
        What was written, and how much the schema cannot say.

    Raises:
        StoreError: `out` is there already or cannot be written; nothing is left of it.
    """
    export = Export(out)
    retrieved = str(int(time.time() if now is None else now))
    with staged(out) as stage:
        stage.mkdir()
        for record in records:
            if record.status == "ok":
                _write(stage, record, retrieved, examples, export)
            else:
                export.left_out["records without a score"] += 1
    return export


def _write(stage: Path, record: Record, retrieved: str, examples: ExampleReader | None, export: Export) -> None:
    log = log_of(record, retrieved)
    place = f"data/{OWNER}-{record.cell.suite}/{log['model_info']['id']}/{_uuid(record)}"
    lines: list[str] = []
    if examples is not None and record.examples is not None:
        lines = question_lines(record, log, examples)
        kind = "answers" if lines else "records' outcomes that are not right or wrong"
        (export.files if lines else export.left_out)[kind] += len(lines) or 1
    (stage / place).parent.mkdir(parents=True, exist_ok=True)
    if lines:
        content = "".join(lines).encode()
        (stage / f"{place}_samples.jsonl").write_bytes(content)
        log["detailed_evaluation_results"] = {
            "format": "jsonl",
            "file_path": f"{place}_samples.jsonl",
            "hash_algorithm": "sha256",
            "checksum": hashlib.sha256(content).hexdigest(),
            "total_rows": len(lines),
        }
        export.left_out["texts of questions and answers, which records do not keep"] += len(lines)
    (stage / f"{place}.json").write_text(json.dumps(log, indent=1, allow_nan=False, ensure_ascii=False) + "\n", "utf-8")
    export.files["results"] += 1


def log_of(record: Record, retrieved: str) -> Document:
    """The document of a record with a score, without the reference to its answers.

    Args:
        record: with status "ok".
        retrieved: when it was collected, in seconds since 1970.

    Returns:
        What their `eval.schema.json` describes.
    """
    model = model_info(record)
    cell = record.cell
    return {
        "schema_version": SCHEMA_VERSION,
        "evaluation_id": f"{evaluation_name(record)}/{model['id']}/{record.id}/{retrieved}",
        "evaluation_timestamp": record.finished,
        "retrieved_timestamp": retrieved,
        "source_metadata": {
            "source_name": OWNER,
            "source_type": "evaluation_run",
            "source_organization_name": OWNER,
            # The run that evaluates a row also made it: trained, compressed or opened.
            "evaluator_relationship": "first_party",
            "additional_details": _texts(
                {"record": record.id, "code": record.code, "suite_version": cell.suite_version}
            ),
        },
        "eval_library": {
            "name": OWNER,
            "version": str(_libraries(record).get("sparsebench", "unknown")),
            "additional_details": _texts({"commit": record.environment.get("commit"), "libraries": _libraries(record)}),
        },
        "model_info": model,
        "evaluation_results": [_result(record, name, metric) for name, metric in record.metrics.items()],
    }


def evaluation_name(record: Record) -> str:
    """The task with its suite: "sparsebench.vtab.digits"."""
    return f"{OWNER}.{record.cell.suite}.{record.cell.task}"


def model_info(record: Record) -> Document:
    """A row on its backbone: name and id, and as texts its methods, costs and all that the schema has no field for."""
    cell = record.cell
    name = f"{cell.label} on {cell.backbone}" if cell.backbone else cell.label
    details = {
        "deployment_type": "self_deployed",
        "model_availability": "unknown",
        "backbone": cell.backbone,
        "label": cell.label,
        "method": cell.methods,
        "config": [link.config for link in cell.links],
        "dtype": cell.dtype,
        "further_backbones": cell.further_backbones or None,
        "costs": record.costs and {key: value for key, value in vars(record.costs).items() if value is not None},
    }
    engine = {"name": "pytorch", "version": str(_libraries(record).get("torch", "unknown"))}
    return {
        "name": name,
        "id": f"{OWNER}/{file_name(name)}",
        "developer": OWNER,
        "inference_engine": engine,
        "additional_details": _texts(details),
    }


def _result(record: Record, name: str, metric: Metric) -> Document:
    cell = record.cell
    settings = {"seed": cell.seed, "budget": cell.budget, "seeds": record.seeds}
    fields = ("source", "version", "sha256", "licence")
    data = [{name: getattr(source, name) for name in fields} for source in record.data]
    return {
        "evaluation_result_id": f"{record.id}/{name}",
        "evaluation_name": evaluation_name(record),
        "source_data": {
            "dataset_name": cell.task,
            "source_type": "other",
            "additional_details": _texts({"task_version": cell.task_version, "group": cell.group, "sources": data}),
        },
        "evaluation_timestamp": record.finished,
        "metric_config": _metric_config(record, name, metric),
        "score_details": {
            "score": metric.value,
            "details": _texts({"chance": metric.chance, "n": metric.n}),
            **_uncertainty(metric),
        },
        "generation_config": {"additional_details": _texts(settings)},
    }


def _metric_config(record: Record, name: str, metric: Metric) -> Document:
    config: Document = {
        "metric_id": _GLOBAL_METRICS.get(name, f"{evaluation_name(record)}.{name}"),
        "metric_name": name,
        "lower_is_better": not metric.higher_is_better,
        "additional_details": _texts({"main_metric": name == record.main_metric}),
    }
    if metric.unit:
        config["metric_unit"] = _UNITS.get(metric.unit, metric.unit)
    low, high = _ENDS.get(metric.unit, (1.0, 0.0))
    if low <= metric.value <= high:
        config |= {"score_type": "continuous", "min_score": low, "max_score": high}
    return config


def _uncertainty(metric: Metric) -> Document:
    """Standard error and interval over the test examples; nothing where the record knows none."""
    if metric.stderr is None:
        return {}
    trials = trials_of(metric)
    found: Document = {"standard_error": {"value": metric.stderr, "method": "analytic"}}
    interval = estimate([Score(metric.value, metric.stderr, trials)])
    if interval.low is not None and interval.high is not None:
        found["confidence_interval"] = {
            "lower": interval.low,
            "upper": interval.high,
            "confidence_level": 0.95,
            "method": "normal" if trials is None else "Wilson",
        }
    if metric.n is not None:
        found["num_samples"] = metric.n
    return {"uncertainty": found}


def _texts(values: Document) -> dict[str, str]:
    """Their free fields hold texts: what is no text is canonical JSON; None is left out."""
    known = {name: value for name, value in values.items() if value is not None}
    return {name: value if isinstance(value, str) else canonical(value) for name, value in known.items()}


def _libraries(record: Record) -> Document:
    return record.environment.get("libraries", {})


def _uuid(record: Record) -> uuid.UUID:
    """Of the form of a random one, as their names must be, and the same for the same record."""
    return uuid.UUID(bytes=hashlib.sha256(record.id.encode()).digest()[:16], version=4)
