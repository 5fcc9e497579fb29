"""The unit of work: a chain of methods on a task with a backbone and a seed, identified by what it is and runs."""

import ast
import dataclasses
import functools
import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sparsebench.data.identity import identity
from sparsebench.reports.records.record import CellInfo

from ..discovery.options import options_of
from ..discovery.parts import Parts, parts_of
from ..discovery.registry import Entry
from .weights import weights_identity


@dataclass(frozen=True)
class Cell:
    """One unit of work. `key` says what it is, `code` what it runs; `id` names its record."""

    info: CellInfo
    key: str
    code: str
    device: str
    timeout: float
    sources: tuple[str, ...]
    reason: str | None = None
    """Why the pair cannot run ("n/a"), or None."""
    checkpoints: bool | Literal["keep"] = False
    """Whether its training keeps checkpoints, to go on after a stop; changes no result. "keep": the last ones stay."""
    planned_seeds: int = 1
    """How many seeds the plan has of this row on this task; no part of the identity."""
    weights: Mapping[str, Mapping[str, str]] = dataclasses.field(default_factory=dict)
    """By backbone with an argument: the digests of the files, or the commit, that it was planned with."""
    stochastic: bool = False
    """Whether the seed can change the result; what is not has one planned seed, however many the plan asks for."""

    @functools.cached_property
    def id(self) -> str:
        """Name of the record."""
        return record_id(self.key, self.code)

    @functools.cached_property
    def parts(self) -> Parts:
        """Its methods, task and backbones, looked up once. Raises `UsageError` where one is not installed."""
        return parts_of(self.info)

    def __getstate__(self) -> dict[str, Any]:
        """The fields alone: where the cell goes, its parts may lie in other files."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @property
    def title(self) -> str:
        """One line for people."""
        info = self.info
        backbones = " with ".join([info.backbone, *info.further_backbones])
        return f"{info.suite}/{info.task} {info.label} on {backbones} seed {info.seed}"


_encode = json.JSONEncoder(sort_keys=True).encode
"""One encoder for all: making one takes longer than most of what it writes."""


def digest(content: object) -> str:
    """16 hex digits of the canonical JSON of `content`."""
    return hashlib.sha256(_encode(content).encode()).hexdigest()[:16]


def record_id(key: str, code: str) -> str:
    """Name of the record of a cell: hash of what it is and of what it runs."""
    return digest([key, code])


ADDED_FIELDS = ("then", "further_backbones")
"""Fields that came later: where they are empty, the key is the one that it was before."""


def cell_key(info: CellInfo, parts: Parts, sources: tuple[str, ...]) -> str:
    """Identity of the work: everything in `info` but the label, and the checksums of data and weights.

    A chain counts with every link in its order, a further backbone (a teacher) with its weights. Options that methods
    got later (`contracts.method.Later`) count where they differ from their defaults.
    """
    content = dataclasses.asdict(info)
    del content["label"], content["group"]
    for method, link in zip(parts.methods, (content, *content["then"]), strict=True):
        link["config"] = _without_later(method, link["config"])
    for name in ADDED_FIELDS:
        if not content[name]:
            del content[name]
    backbone, *further = parts.backbones
    counted = [content, {name: identity(name) for name in sources}, _weights(*backbone)]
    if further:
        counted.append({name: _weights(entry, name) for entry, name in further})
    return digest(counted)


def _without_later(method: Entry, config: Mapping[str, object]) -> dict[str, Any]:
    """The options of a method, but for those that came later and have their default."""
    kept = dict(config)
    for name, option in options_of(method).items():
        # As text: a record that was read has a list where the default is a tuple.
        if option.later and name in kept and _encode(kept[name]) == _encode(ast.literal_eval(option.default)):
            del kept[name]
    return kept


_weights = functools.cache(weights_identity)


def planned_weights(parts: Parts) -> dict[str, Mapping[str, str]]:
    """What identifies the weights that the backbones of a cell name by an argument."""
    return {name: dict(_weights(entry, name)) for entry, name in parts.backbones if ":" in name}


def forget_weights() -> None:
    """Look at all weights again, since some have come in the meantime."""
    _weights.cache_clear()


def backbones_of(cells: Iterable[Cell]) -> list[tuple[Entry, str]]:
    """The backbones of cells, teachers too, each once with its entry. Raises `UsageError` for an unknown one."""
    found: dict[tuple[str, str], tuple[Entry, str]] = {}
    for cell in cells:
        for entry, name in cell.parts.backbones:
            found.setdefault((entry.suite, name), (entry, name))
    return [found[place] for place in sorted(found)]
