"""The unit of work: a method on a task with a backbone and a seed, identified by what it is and what it runs."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from sparsebench.data.cache import sha256_of
from sparsebench.data.sources import fingerprint
from sparsebench.reports.record import CellInfo

from ..contracts.budget import Budget
from ..contracts.method import Method
from ..contracts.task import Task
from .errors import UsageError, near
from .registry import Entry, find, load_class


@dataclass(frozen=True)
class Cell:
    """One unit of work. `key` says what it is, `code` what it runs; `id` names its record."""

    info: CellInfo
    key: str
    code: str
    timeout: float
    sources: tuple[str, ...]
    reason: str | None = None
    """Why the pair cannot run ("n/a"), or None."""

    @property
    def id(self) -> str:
        """Name of the record: hash of key and code."""
        return digest([self.key, self.code])

    @property
    def title(self) -> str:
        """One line for people."""
        info = self.info
        return f"{info.suite}/{info.task} {info.label} on {info.backbone} seed {info.seed}"


def digest(content: Any) -> str:
    """16 hex digits of the canonical JSON of `content`."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def cell_key(info: CellInfo, sources: tuple[str, ...]) -> str:
    """Identity of the work: everything in `info` but the label, and the checksums of data and weights."""
    content = dataclasses.asdict(info)
    del content["label"], content["group"]
    return digest([content, {name: fingerprint(name) for name in sources}, _own_weights(info.backbone)])


@functools.cache
def _own_weights(backbone: str) -> dict[str, str]:
    """Checksums of the weight files on this machine that a backbone's argument names: `hf:FOLDER`, `timm:NAME@FILE`."""
    place = Path(backbone.partition(":")[2].rpartition("@")[2] or "/nowhere").expanduser()
    files = sorted(place.glob("*.safetensors")) if place.is_dir() else [place] if place.is_file() else []
    return {file.name: sha256_of(file) for file in files}


def cell_entries(info: CellInfo) -> tuple[Entry, Entry, Entry]:
    """The method, the task and the backbone of a cell."""
    return find("method", info.method), find("task", info.task, info.suite), find("backbone", info.backbone, info.suite)


def load_method(entry: Entry, config: Mapping[str, Any]) -> Method:
    """The method with its config checked. Raises `UsageError` for an unknown key or a wrong type."""
    return build(load_class(entry, Method), config, f"method {entry.name!r}")


def load_task(entry: Entry) -> Task:
    """The task object, of a row of a table with the row's values."""
    kind = load_class(entry, Task)
    return kind() if entry.row is None else build(kind, entry.row_fields, f"task {entry.name!r}")


def load_budget(*layers: Mapping[str, Any]) -> Budget:
    """A budget from layers of overrides, the last one winning."""
    return build(Budget, {key: value for layer in layers for key, value in layer.items()}, "budget")


def budget_fields(budget: Budget) -> dict[str, Any]:
    """The budget as a cell holds it: without a field that later versions added, where that has its default."""
    fields = dataclasses.asdict(budget)
    return fields if budget.train_share != 1 else {key: value for key, value in fields.items() if key != "train_share"}


def build(kind: type, values: Mapping[str, Any], where: str) -> Any:
    """An instance of the dataclass `kind`; unknown keys and wrong types are a `UsageError`."""
    known = [entry.name for entry in dataclasses.fields(kind)]
    for key in values:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{near(str(key), known)}")
    try:
        return TypeAdapter(kind).validate_python(dict(values))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise UsageError(f"{where}: {place} is {first['input']!r}: {first['msg']}") from None
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error
