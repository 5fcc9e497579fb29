"""Slim records: all that tables and statistics read of a record, in little memory and little text.

Of `details` and `curves` a slim record has the names alone (with nothing in them), of a traceback nothing: pictures,
panels and notes read the whole record of the few that they show. Parts that many records share (what was run apart
from the seed, the environment, the data, the warnings) are texts of their own, one object each in memory.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cache
from sys import intern
from typing import Any

from ..record import SCHEMA_VERSION, CellInfo, Costs, DataInfo, Link, Metric, Record, TeacherCosts, TrainingCosts

Whole = Callable[[Record], Record]
"""From a slim record to the whole one. Raises `StoreError`."""
_KEPT = (
    "id",
    "key",
    "code",
    "costs_code",
    "status",
    "reason",
    "main_metric",
    "times",
    "seeds",
    "started",
    "finished",
    "examples",
)


def _names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


_METRIC = _names(Metric)
_COSTS = _names(Costs)
_TRAINING = _names(TrainingCosts)


_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=vars).encode
"""Canonical JSON; `vars` makes mappings of the dataclasses inside. One encoder for all, since making one takes long."""


def already_whole(record: Record) -> Record:
    """For records that were read whole: nothing to do."""
    return record


def form() -> str:
    """What the texts depend on: another form of the records makes another text of it."""
    fields = []
    for kind in (Record, CellInfo, Link, Metric, Costs, TrainingCosts, TeacherCosts, DataInfo):
        fields.append([kind.__name__, *_names(kind)])
    return part_name(json.dumps([3, SCHEMA_VERSION, _KEPT, fields]))


def to_slim(record: Record) -> tuple[str, dict[str, str]]:
    """The text of a slim record, and the shared parts that it names."""
    parts = {}

    def part(value: Any) -> str:
        text = _encode(value)
        name = part_name(text)
        parts[name] = text
        return name

    info = dict(vars(record.cell))
    # The seed apart: with it the cell of each record would be a part of its own.
    seed = info.pop("seed")
    # Lists without names, which would be most of the text.
    content = [
        record.schema_version,
        [getattr(record, name) for name in _KEPT],
        [part(info), seed],
        {name: _values(metric, _METRIC) for name, metric in record.metrics.items()},
        _values(record.costs, _COSTS),
        _values(record.training, _TRAINING),
        list(record.curves),
        list(record.details),
        part(record.data),
        part(record.environment),
        part(record.warnings),
    ]
    return _encode(content), parts


def part_name(text: str) -> str:
    """The name of a shared part: a hash of its text."""
    return hashlib.blake2b(text.encode(), digest_size=9).hexdigest()


def _values(part: Any, names: tuple[str, ...]) -> list[Any] | None:
    return None if part is None else [getattr(part, name) for name in names]


class Reader:
    """Makes records from slim texts; records share the objects of parts, and the strings, that they have in common."""

    def __init__(self, parts: Mapping[str, str]) -> None:
        self._parts = parts
        self._read: dict[tuple[str, str], Any] = {}

    def record(self, text: str) -> Record:
        """Raises KeyError, TypeError or ValueError if the text or one of its parts is not of the form."""
        version, kept, (info, seed), metrics, costs, training, curves, details, *shared = json.loads(text)
        data, environment, warnings = shared
        fields = dict(zip(_KEPT, kept, strict=True))
        # Of many records these texts are few, each in memory once.
        for name in ("code", "status", "reason", "main_metric"):
            fields[name] = _shared(fields[name])
        for name in ("times", "seeds"):
            fields[name] = {intern(key): value for key, value in fields[name].items()}
        return Record(
            schema_version=version,
            **fields,
            cell=CellInfo(**self._part("cell", info), seed=seed),
            metrics={intern(name): _build(Metric, _METRIC, values) for name, values in metrics.items()},
            costs=_build(Costs, _COSTS, costs),
            training=_training(training),
            curves={intern(name): [] for name in curves},
            details={intern(name): None for name in details},
            data=self._part("data", data),
            environment=self._part("environment", environment),
            warnings=self._part("warnings", warnings),
        )

    def _part(self, kind: str, name: str) -> Any:
        if (kind, name) not in self._read:
            text = self._parts[name]
            self._read[kind, name] = _PARTS[kind](text)
        return self._read[kind, name]


def _shared(value: Any) -> Any:
    return intern(value) if isinstance(value, str) else value


def _build(kind: type, names: tuple[str, ...], values: list[Any] | None) -> Any:
    """Without the checks of the class, which the record passed when its text was made: there may be very many."""
    if values is None:
        return None
    made = object.__new__(kind)
    fields = vars(made)
    fields.update(zip(names, values, strict=True))
    if "unit" in fields:
        fields["unit"] = intern(fields["unit"])
    return made


def _training(values: list[Any] | None) -> TrainingCosts | None:
    """The costs of a training with those of its teacher, which a text holds by name."""
    made = _build(TrainingCosts, _TRAINING, values)
    if made is not None and made.teacher is not None:
        vars(made)["teacher"] = TeacherCosts(**made.teacher)
    return made


def _read_cell(text: str) -> dict[str, Any]:
    value = json.loads(text)
    value["then"] = [Link(**link) for link in value["then"]]
    return {name: _shared(content) for name, content in value.items()}


def _read_data(text: str) -> list[DataInfo]:
    return _data().validate_json(text)


_PARTS: dict[str, Callable[[str], Any]] = {
    "cell": _read_cell,
    "data": _read_data,
    "environment": json.loads,
    "warnings": json.loads,
}


@cache
def _data() -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(list[DataInfo])
