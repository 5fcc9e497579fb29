"""Which records the code of today would make again: all that goes into their name is looked up and compared."""

from collections.abc import Iterable

from sparsebench.reports.record import Record

from ..discovery.registry import suite
from ..errors import UsageError
from .cell import cell_entries, cell_key, entry_sources, record_id
from .fingerprint import code_hash, installed


def made_by_older_code(records: Iterable[Record]) -> int:
    """How many of the records come from other code than that of today.

    Only the code is asked about: a record keeps the library versions and the device that it was made with. Pairs that
    cannot run ("n/a") have no score and do not count; a method, task or backbone that is gone counts as older.
    """
    return sum(record.status != "n/a" and not _is_of_today(record) for record in records)


def _is_of_today(record: Record) -> bool:
    info = record.cell
    try:
        entries = cell_entries(info)
        about = suite(info.suite)
    except UsageError:
        return False
    noted = record.environment.get("libraries", {})
    versions = {name: noted.get(name, installed(name)) for name in about.libraries}
    without = "cpu" if record.environment.get("accelerator") is None else "cuda"
    device = record.environment.get("device", without)
    return record.id == record_id(cell_key(info, entry_sources(entries)), code_hash(entries, versions, device))
