"""A cell made from the description in its record alone, whatever profile it came from."""

import dataclasses

from sparsebench.reports.records.record import RENAMED_BUDGET_KEYS, Record

from ...contracts.applicability import reason_against
from ...contracts.budget import Budget
from ..discovery.loading import load_method, load_task
from ..discovery.parts import parts_of
from ..discovery.registry import suite
from ..discovery.renamed import in_todays_words
from ..discovery.validation import build
from ..errors import UsageError, near
from ..identity.cell import Cell, cell_key, planned_weights
from ..identity.device import device_kind, recorded_device
from ..identity.fingerprint import code_hash, versions
from ..planning.profile import DTYPES

TIMEOUT_SECONDS = 1800.0
TIMES_AS_LONG = 10.0
"""A cell may take as many times as long as it took then: the machine may be slower, or busy."""


class CellGoneError(UsageError):
    """What the record names is not here any more: a method, a task, a backbone, or an option of one of them."""


def cell_of(record: Record) -> Cell:
    """The cell of a record, with the code, libraries and weights of today, and the words of today for its options.

    Its device is the record's, where there is one of that kind here. A cell that ran out of time gets the time that it
    had, every other one plenty.

    Raises:
        CellGoneError: the record's description has no meaning here any more.
    """
    try:
        return _cell(record)
    except UsageError as error:
        raise CellGoneError(f"record {record.id} cannot be run here: {error}") from error


def known_keys(record: Record, cell: Cell) -> set[str]:
    """The keys that its cell has, with today's data, by the words of the record, as it is read and as it was."""
    info = record.cell
    former = {new: old for old, new in RENAMED_BUDGET_KEYS.items()}
    budget = {former.get(name, name): value for name, value in info.budget.items()}
    return {cell_key(words, cell.parts, cell.sources) for words in (info, dataclasses.replace(info, budget=budget))}


def has_key_of(record: Record, cell: Cell) -> bool:
    """Whether data and weights are those of the record, whose cell this is."""
    return record.key == cell.key or record.key in known_keys(record, cell)


def _cell(record: Record) -> Cell:
    info = in_todays_words(record.cell)
    about = suite(info.suite)
    parts = parts_of(info)
    chain = [load_method(entry, link.config) for entry, link in zip(parts.methods, info.links, strict=True)]
    task = load_task(parts.task)
    build(Budget, info.budget, "budget")
    if info.dtype not in DTYPES:
        raise UsageError(f"unknown dtype {info.dtype!r}{near(info.dtype, DTYPES)}")
    sources = parts.sources
    device = device_here(record)
    known, *further = [entry.backbone(name) for entry, name in parts.backbones]
    return Cell(
        info=info,
        key=cell_key(info, parts, sources),
        code=code_hash(parts.entries, versions(about.libraries), device),
        device=device,
        timeout=_timeout(record),
        sources=sources,
        reason=reason_against(chain, task, known, further, [link.method for link in info.links]),
        planned_seeds=record.seeds.get("planned", 1),
        weights=planned_weights(parts),
        stochastic=bool(record.seeds.get("stochastic", 0)),
    )


def device_here(record: Record) -> str:
    """The kind of device that the record was made on, or the CPU where there is none of it."""
    device = recorded_device(record)
    return device if device == device_kind() else "cpu"


def _timeout(record: Record) -> float:
    then = record.times.get("total", 0.0)
    if record.status == "timeout" and then > 0:
        return then
    return max(TIMEOUT_SECONDS, TIMES_AS_LONG * then)


def same_work(one: Record, other: Record) -> bool:
    """Whether two records are of one row on one task, whatever the seed."""
    return dataclasses.replace(one.cell, seed=0) == dataclasses.replace(other.cell, seed=0)
