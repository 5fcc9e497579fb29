"""Which records the code of today would make again: all that goes into their name is looked up and compared."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sparsebench.reports.records.record import Record
from sparsebench.reports.tables.dataframe import canonical

from ..discovery.registry import suite
from ..errors import UsageError
from .cell import cell_entries, cell_key, entry_sources, record_id
from .fingerprint import code_hash, python_series, versions


def made_by_older_code(records: Iterable[Record]) -> list[Record]:
    """Those of the records that come from other code than that of today.

    Only the code is asked about: a record keeps the library versions and the device that it was made with. Pairs that
    cannot run ("n/a") have no score and do not count; a method, task or backbone that is gone counts as older.
    """
    known: dict[Any, _Today | None] = {}
    found = []
    for record in records:
        if record.status == "n/a":
            continue
        place = _place(record)
        if place not in known:
            known[place] = _today(record)
        if not _is_of(record, known[place]):
            found.append(record)
    return found


class _Today(NamedTuple):
    """What the cells of one place have in common: the hash of their code, and the data sources that they read."""

    code: str
    sources: tuple[str, ...]


def _place(record: Record) -> tuple[Any, ...]:
    """Records that are equal in this run the same code: hashing it takes long, and there may be many records."""
    cell = record.cell
    backbones = (cell.backbone, *cell.further_backbones)
    noted = record.environment.get("libraries")
    made_with = canonical([noted, record.environment.get("python")])
    return cell.suite, cell.methods, cell.task, backbones, made_with, recorded_device(record)


def _today(record: Record) -> _Today | None:
    """None if something that the record names is gone."""
    try:
        entries = cell_entries(record.cell)
        return _Today(code_hash(entries, recorded_versions(record), recorded_device(record)), entry_sources(entries))
    except UsageError:
        return None


def _is_of(record: Record, today: _Today | None) -> bool:
    if today is None or record.code != today.code:
        return False
    return record.id == record_id(cell_key(record.cell, today.sources), today.code)


def recorded_versions(record: Record) -> Mapping[str, str]:
    """The versions that the record was made with, of Python and the libraries that count in its suite.

    Raises `UsageError`.
    """
    noted = record.environment.get("libraries")
    if not isinstance(noted, dict):
        noted = {}
    python = record.environment.get("python")
    if isinstance(python, str):
        noted = {**noted, "python": python_series(python)}
    return {name: noted.get(name, here) for name, here in versions(suite(record.cell.suite).libraries).items()}


def recorded_device(record: Record) -> str:
    """The kind of device that the record was made on; earlier records say only what the machine had."""
    device = record.environment.get("device")
    if isinstance(device, str):
        return device
    return "cpu" if record.environment.get("accelerator") is None else "cuda"
