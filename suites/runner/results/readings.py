"""What result folders hold, read for `report` and `compare`: one folder, or several whose rows stand side by side."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.speed import SPEED_FILE
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.collector import no_collection
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Problem, Store
from sparsebench.reports.records.vouchers import Vouchers
from sparsebench.reports.tables.claims import Finding, judge

from ..errors import UsageError
from ..identity.commits import unknown_commits
from ..planning.plan_file import planned_claims, planned_records, planned_roles, with_planned_seeds

WORDS = "reading.md"
"""What people read from a result folder, in Markdown; it lies next to the records."""
OBJECTION = "objection.md"
"""What the set-up of a study is objected to for, in one line of Markdown; it lies next to the records."""


@contextmanager
def open_readings(folders: Sequence[Path]) -> Iterator[Reading]:
    """Read the folders, which stay open inside the `with`; a record that two of them have counts once.

    Where two have it with unlike scores (of one cell on two machines), the first is shown, and the other a problem.

    Raises:
        StoreError: a folder that holds no results.
        UsageError: a folder without a readable record or speed runs, or one that is named twice.
    """
    _check_once(folders)
    with ExitStack() as stack:
        stores = {folder: Store(folder).open() for folder in folders}
        indexes = {folder: stack.enter_context(Index(store)) for folder, store in stores.items()}
        owners: dict[str, Path] = {}
        shown: dict[str, Record] = {}
        disagreeing: list[Problem] = []
        findings: list[Finding] = []
        for folder in folders:
            found = _records(indexes[folder], folder)
            for record in found:
                first = shown.setdefault(record.id, record)
                if first is record:
                    owners[record.id] = folder
                elif _score(record) != _score(first):
                    there = f"the same cell in {owners[record.id]}, which is shown, {_score(first)}"
                    path = stores[folder].path(f"{record.id}.json")
                    disagreeing.append(Problem(path, f"it has {_score(record)}, and {there}"))
            findings += judge(
                planned_claims(folder),
                found,
                ExampleReader(stores[folder].read_examples),
                planned_roles(folder),
                indexes[folder].whole,
            )
        records = list(shown.values())
        yield Reading(
            folders=tuple(folders),
            records=records,
            problems=[problem for index in indexes.values() for problem in index.problems] + disagreeing,
            examples=ExampleReader(lambda id: stores[owners[id]].read_examples(id)),
            where=lambda record: str(owners[record.id]),
            whole=lambda record: indexes[owners[record.id]].whole(record),
            standings=[Vouchers(folder).standing() for folder in folders],
            unknown_commits=unknown_commits(records),
            roles=_roles(folders),
            findings=findings,
            objection=" ".join(filter(None, map(objection, folders))),
            words="\n\n".join(filter(None, (_note(folder, WORDS) for folder in folders))),
            speed=next((folder / SPEED_FILE for folder in folders if (folder / SPEED_FILE).exists()), None),
        )


def _score(record: Record) -> str:
    """The main score with all its digits, or what became of the cell."""
    if record.main_metric is None:
        return record.status
    return f"{record.main_metric} {record.metrics[record.main_metric].value!r}"


def _check_once(folders: Sequence[Path]) -> None:
    known: set[Path] = set()
    for folder in folders:
        if folder.resolve() in known:
            raise UsageError(f"{folder} is named twice")
        known.add(folder.resolve())


def _records(index: Index, folder: Path) -> list[Record]:
    with no_collection():
        records = with_planned_seeds(index.records(planned_records(index.entries, folder)), folder)
    if not records and not (folder / SPEED_FILE).exists():
        raise UsageError(f"{folder} holds no readable record: `sparsebench run --out {folder}` makes some")
    return records


def _roles(folders: Sequence[Path]) -> dict[str, Mapping[str, str]]:
    """Suite to row label to role; where folders differ, the one that is named first says it."""
    found: dict[str, Mapping[str, str]] = {}
    for folder in folders:
        for suite, roles in planned_roles(folder).items():
            found[suite] = {**roles, **found.get(suite, {})}
    return found


def objection(folder: Path) -> str:
    """The objection to the study in a result folder, in one line; empty without one. Raises `UsageError`."""
    return " ".join(_note(folder, OBJECTION).split())


def _note(folder: Path, name: str) -> str:
    path = folder / name
    try:
        return path.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): it must be Markdown") from error
