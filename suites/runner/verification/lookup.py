"""The records that the command line names: files, or ids in a result folder."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sparsebench.reports.records.record import Record, RecordError, from_json
from sparsebench.reports.records.store import MARKER, RECORDS, Store

from ..errors import UsageError, near


@functools.cache
def opened(folder: Path) -> Store:
    """A result folder, one for all who look at its records one by one: what is frozen is read once, or when it changes.

    Raises `StoreError`.
    """
    return Store(folder).open()


@dataclass(frozen=True)
class Named:
    """A record, and the result folder that it lies in, if it lies in one."""

    record: Record
    folder: Path | None = None

    @property
    def title(self) -> str:
        """One line for people: id and cell."""
        info = self.record.cell
        return f"{self.record.id} {info.suite}/{info.task} {info.label} on {info.backbone} seed {info.seed}"


def find_records(names: Sequence[str], out: Path | None) -> list[Named]:
    """Each name is a JSON file, or an id of the result folder `out`.

    Raises:
        UsageError: there is no such file or id.
        RecordError: the file is no record.
        StoreError: `out` is no result folder.
    """
    return [_find(name, out) for name in names]


def _find(name: str, out: Path | None) -> Named:
    path = Path(name)
    if path.suffix == ".json" or path.is_file():
        return _from_file(path, out)
    if out is None:
        raise UsageError(f"{name!r} is no file: give the JSON file of a record, or its id and --out FOLDER")
    return _find_id(name, out, out)


def _find_id(id: str, folder: Path, out: Path | None) -> Named:
    store = opened(folder)
    try:
        return Named(store.read(id), out or folder)
    except KeyError:
        raise UsageError(f"{folder} holds no record {id!r}{near(id, store.ids())}") from None
    except RecordError as error:
        raise RecordError(f"{store.records / id}.json: {error}") from None


def _from_file(path: Path, out: Path | None) -> Named:
    folder = path.resolve().parent.parent
    is_kept = (folder / MARKER).exists()
    try:
        record = from_json(path.read_bytes())
    except OSError as error:
        if is_kept and path.parent.name == RECORDS and not path.exists():
            return _find_id(path.stem, folder, out)  # frozen, perhaps
        raise UsageError(f"{path}: {error.strerror or error}") from None
    except RecordError as error:
        raise RecordError(f"{path}: {error}") from None
    return Named(record, out or (folder if is_kept else None))
