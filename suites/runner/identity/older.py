"""Which records the code of today would make again: all that goes into their name is looked up and compared."""

import functools
from collections.abc import Iterable, Mapping

from sparsebench.reports.record import Record

from ..discovery.registry import Entry, suite
from ..errors import UsageError
from .cell import cell_entries, cell_key, entry_sources, record_id
from .fingerprint import code_hash, installed


def made_by_older_code(records: Iterable[Record]) -> list[Record]:
    """Those of the records that come from other code than that of today.

    Only the code is asked about: a record keeps the library versions and the device that it was made with. Pairs that
    cannot run ("n/a") have no score and do not count; a method, task or backbone that is gone counts as older.
    """
    return [record for record in records if record.status != "n/a" and not _is_of_today(record)]


def _is_of_today(record: Record) -> bool:
    info = record.cell
    try:
        entries = cell_entries(info)
        versions = recorded_versions(record)
    except UsageError:
        return False
    code = _code(entries, tuple(sorted(versions.items())), recorded_device(record))
    return record.id == record_id(cell_key(info, entry_sources(entries)), code)


@functools.cache
def _code(entries: tuple[Entry, ...], versions: tuple[tuple[str, str], ...], device: str) -> str:
    """One hash for all records of the same methods, task and backbone."""
    return code_hash(entries, dict(versions), device)


def recorded_versions(record: Record) -> Mapping[str, str]:
    """The versions that the record was made with, of the libraries that count in its suite. Raises `UsageError`."""
    noted = record.environment.get("libraries")
    if not isinstance(noted, dict):
        noted = {}
    return {name: noted.get(name, installed(name)) for name in suite(record.cell.suite).libraries}


def recorded_device(record: Record) -> str:
    """The kind of device that the record was made on; earlier records say only what the machine had."""
    device = record.environment.get("device")
    if isinstance(device, str):
        return device
    return "cpu" if record.environment.get("accelerator") is None else "cuda"
