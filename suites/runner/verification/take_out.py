"""What `take-out` does: the language model that a cell trained, out of its checkpoints into a folder.

A cell whose plan says `checkpoints: keep` leaves the last checkpoint of each of its trainings beside its record. The
cell is put together again from the record, its methods prepare the model as they did, and where they trained, the
weights are read: the loop checks that data, settings and first weights are those of the checkpoint, and trains nothing.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from sparsebench.models import save
from sparsebench.models.hub.atomic_folder import check_free

from ...llm.language.task import CausalLM
from ...training.checkpoint import END, newest
from ..discovery.loading import load_parts
from ..discovery.parts import parts_of
from ..errors import UsageError
from ..execution.execute import CHECKPOINTS
from ..execution.isolation.settle import as_in_a_worker
from ..execution.scoring import score
from .lookup import find_records
from .rebuild import cell_of

ROUNDING = 1e-3
"""Between two kinds of processor, in bfloat16, relative; on one of the same kind the scores are equal."""


def take_out(results: Path, record_id: str, out: Path, say: Callable[[str], None] = print) -> None:
    """Write the model of a record as a folder that `sparsebench.models.load` and `sparsebench export` open.

    It is scored again, and its score compared with the record's, before anything is written; the saved folder is
    compared with the model.

    Args:
        results: the result folder.
        record_id: of the record in it.
        out: the new folder; it appears whole or not at all.
        say: is given a line with the two scores.

    Raises:
        UsageError: no such record, none of a language model with a score, no checkpoints of it, or another score.
        ModelError: `out` is not free, or the model is one that no folder can hold.
        StoreError: `results` is no result folder.

    Example: `take_out(Path("results/healed"), "0a1b2c...", Path("healed"))`; then `sparsebench export healed stock`.
    """
    check_free(out)
    (named,) = find_records([record_id], results)
    record = named.record
    if record.main_metric is None:
        raise UsageError(f"record {record.id} has no score: {record.status}")
    place = results.resolve() / CHECKPOINTS / record.id
    _check_kept(place, record.id)
    cell = cell_of(record)
    loaded = load_parts(parts_of(cell.info), cell.info.links)
    subjects = _subjects_of(loaded.task)
    with as_in_a_worker():
        found = score(cell.info, loaded.chain, loaded.task, loaded.loaders, cell.device, place)
    (subject,) = subjects
    if not isinstance(subject, CausalLM):
        raise UsageError(f"record {record.id} is of no language model: `sparsebench fit` keeps models of other kinds")
    name, then = record.main_metric, record.metrics[record.main_metric].value
    now = found.metrics[name].value
    say(f"{name} {now:.6g}; the record has {then:.6g}")
    if abs(now - then) > ROUNDING * abs(then):
        raise UsageError(f"record {record.id}: the model scores {name} {now!r}, not {then!r}: nothing was written")
    save(subject.model, out, tokenizer=subject.tokenizer)


def _check_kept(place: Path, record_id: str) -> None:
    """Raise `UsageError` unless each training that left a checkpoint there has come to its end, and one has."""
    stages = [file.parent for file in sorted(place.rglob("training.json"))]
    checkpoints = [newest(stage) for stage in stages]
    if not stages or not all(one is not None and one.name.endswith(END) for one in checkpoints):
        raise UsageError(
            f"{place} has no checkpoints of record {record_id}: let a run keep them, with --set checkpoints=keep"
        )


def _subjects_of(task: Any) -> list[Any]:
    """What the task will score, as it is before costs are measured on it: a list that is empty yet."""
    found: list[Any] = []
    subject = task.subject

    def noted(model: Any, setup: Any) -> Any:
        made = subject(model, setup)
        found.append(replace(made, model=copy.deepcopy(made.model)) if isinstance(made, CausalLM) else made)
        return made

    task.subject = noted
    return found
