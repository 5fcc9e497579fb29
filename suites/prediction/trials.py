"""Trials of a choice on the validation part, and how a cell that was stopped takes up those that had ended."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparsebench.reports.records.record import Metric

from ..contracts.method import Method


@dataclass(kw_only=True)
class Trial:
    """One candidate: the options that differ from the row, the methods, and how it did on the validation part."""

    options: Mapping[str, Any]
    chain: Sequence[Method]
    score: Metric | None = None
    """None where training diverged."""
    reason: str = ""
    took: Mapping[str, float | None] = field(default_factory=dict)
    """Seconds and operations of its training."""
    examples: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """Outcomes by example of the validation part."""

    def better_than(self, other: "Trial") -> bool:
        """Whether its score is higher, or lower where less is better; the earlier of two equal trials stays."""
        if self.score is None or other.score is None:
            return self.score is not None
        if self.score.higher_is_better:
            return self.score.value > other.score.value
        return self.score.value < other.score.value


def plain(options: Mapping[str, object]) -> dict[str, Any]:
    """Options as JSON has them."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}


def take_up(trial: Trial, folder: Path | None) -> bool:
    """Fill a trial from what `keep` wrote, as it was to the last digit.

    Args:
        trial: with its options.
        folder: of its checkpoints; None where the cell keeps nothing.

    Returns:
        Whether it had ended; False too where the file is cut, or of other options.
    """
    if folder is None:
        return False
    try:
        kept = json.loads(_file(folder).read_text(encoding="utf-8"))
        if kept["options"] != json.loads(json.dumps(plain(trial.options))):
            return False
        trial.score = None if kept["score"] is None else Metric(**kept["score"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    trial.reason, trial.took, trial.examples = kept["reason"], kept["took"], kept["examples"]
    return True


def keep(trial: Trial, folder: Path | None) -> None:
    """Write down how a trial ended; its checkpoints, whole models, are then of no use and go.

    Args:
        trial: one that has ended.
        folder: of its checkpoints; None where the cell keeps nothing.
    """
    if folder is None:
        return
    content = {
        "options": plain(trial.options),
        "score": None if trial.score is None else asdict(trial.score),
        "reason": trial.reason,
        "took": dict(trial.took),
        "examples": {name: list(values) for name, values in trial.examples.items()},
    }
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = _file(folder).with_suffix(".partial")
    with partial.open("w", encoding="utf-8") as stream:
        json.dump(content, stream)
        stream.flush()
        os.fsync(stream.fileno())
    partial.replace(_file(folder))
    shutil.rmtree(folder, ignore_errors=True)


def _file(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.json")
