"""What `report` and `compare` do with a result folder."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from sparsebench.reports.page.holding import holds_at
from sparsebench.reports.page.provenance import commits_note
from sparsebench.reports.page.render import render
from sparsebench.reports.page.speed import speed_or_reason
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.collector import no_collection
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.reports.records.vouchers import Vouchers
from sparsebench.reports.tables.claims import judge
from sparsebench.reports.tables.comparison import Comparison, compare, select
from sparsebench.reports.tables.suite_table import Role, SuiteInfo, SuiteTable
from sparsebench.reports.tables.table_formats import claims_table, comparison_table, to_rich

from .console import open_console
from .discovery.registry import Entry, entries, suites
from .documents import CompareDocument, ComparisonDocument
from .errors import UsageError, near
from .identity.commits import unknown_commits
from .planning.plan_file import planned_claims, planned_records, planned_roles, with_planned_seeds

SPEED_FILE = "speed.json"
OBJECTION = "objection.md"
"""What the set-up of a study is objected to for, in one line of Markdown; it lies next to the records."""
MAX_TERMINAL_ROWS = 40


def suite_infos() -> dict[str, SuiteInfo]:
    """How the report presents each suite."""
    controls = _controls()
    roles = _roles()
    return {
        name: SuiteInfo(
            title=about.title,
            description=about.description,
            baseline=about.baseline,
            unit=about.unit,
            group_baselines=about.group_baselines,
            controls=controls,
            roles=roles,
            margins=about.margins,
        )
        for name, about in suites().items()
    }


def _controls() -> dict[str, Sequence[Mapping[str, Any]]]:
    """Method to the configurations that its file calls controls."""
    found = {}
    for name, entry in _methods():
        found[name] = entry.constant("CONTROLS", ())
    return found


def _roles() -> dict[str, Role]:
    """Method to the role that its file says it always has. Raises `UsageError` for a role that there is not."""
    found: dict[str, Role] = {}
    for name, entry in _methods():
        role = entry.constant("ROLE", None)
        if role is None:
            continue
        if role not in get_args(Role):
            raise UsageError(f"{entry.path}: unknown role {role!r}{near(str(role), get_args(Role))}")
        found[name] = role
    return found


def _methods() -> Iterator[tuple[str, Entry]]:
    """Every method by its name, and by those that older records know it by."""
    for name, entry in entries("method").items():
        for known_as in (name, *entry.constant("FORMER_NAMES", ())):
            yield known_as, entry


def _records(index: Index, folder: Path, console: Console) -> list[Record]:
    """The slim records of the latest plan; files that cannot be read are named."""
    for problem in index.problems:
        console.print(f"skipped {problem.path.name}: {problem.reason}", style="yellow", highlight=False)
    with no_collection():
        return with_planned_seeds(index.records(planned_records(index.entries, folder)), folder)


def objection(folder: Path) -> str:
    """The objection to the study in a result folder, in one line; empty without one. Raises `UsageError`."""
    path = folder / OBJECTION
    try:
        return " ".join(path.read_text(encoding="utf-8").split())
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{path} cannot be read ({error}): it must be one line of Markdown") from error


def write_report(folder: Path, out: Path) -> None:
    """Print a table per suite and write the report into `out`. Raises `StoreError` and `UsageError`."""
    console = open_console()
    store = Store(folder).open()
    examples = ExampleReader(store.read_examples)
    with Index(store) as index:
        records = _records(index, folder, console)
        if not records:
            raise UsageError(f"{folder} holds no readable record: `sparsebench run --out {folder}` makes some")
        standing = Vouchers(folder).standing()
        console.print(holds_at(standing), style="yellow")
        unknown = unknown_commits(records)
        if note := commits_note(records, unknown):
            console.print(note, style="yellow")
        speed = folder / SPEED_FILE
        roles = planned_roles(folder)
        findings = judge(planned_claims(folder), records, examples, roles)
        page = render(
            records,
            index.problems,
            out,
            suite_infos(),
            speed if speed.exists() else None,
            findings,
            standing,
            objection=objection(folder),
            unknown_commits=unknown,
            roles=roles,
            whole=index.whole,
            examples=examples,
            show=lambda table: print_table(table, console),
        )
    if findings:
        console.print(claims_table(findings))
    _print_problems(examples, console)
    _print_speed(speed, console)
    console.print(f"report: {page}", highlight=False, soft_wrap=True)


def print_table(table: SuiteTable, console: Console) -> None:
    """The first rows, which are the best: a terminal is no place for hundreds, and laying them out takes minutes."""
    for part in to_rich(replace(table, lines=table.lines[:MAX_TERMINAL_ROWS]), console.width):
        console.print(part)
    more = len(table.lines) - MAX_TERMINAL_ROWS
    if more > 0:
        console.print(f"and {more} more rows of {table.title}: all are on the page", style="yellow")


def _print_speed(speed: Path, console: Console) -> None:
    """What fell short in the speed runs, if there were some; the page says the same."""
    report, error = speed_or_reason(speed if speed.exists() else None)
    lines = [] if report is None else report.shortfalls
    if error is not None:
        lines = [error]
    for line in lines:
        console.print(line, style="yellow", highlight=False, markup=False)


def _print_problems(examples: ExampleReader, console: Console) -> None:
    for problem in examples.problems.values():
        console.print(f"compared without its examples: {problem}", style="yellow", highlight=False, markup=False)


def compare_rows(folder: Path, first: str, second: str, names: Sequence[str]) -> None:
    """Print the paired comparison of two rows. Raises `UsageError` for an unknown label."""
    console = open_console()
    lines = _compared(folder, first, second, names, console)
    console.print(comparison_table(lines, first, second))


def compare_document(folder: Path, first: str, second: str, names: Sequence[str]) -> CompareDocument:
    """The paired comparison of two rows; what is wrong with records goes to stderr. Raises `UsageError`."""
    lines = _compared(folder, first, second, names, open_console(file=sys.stderr))
    return {
        "schema": "sparsebench/compare/1",
        "folder": str(folder),
        "a": first,
        "b": second,
        "lines": [_line(line) for line in lines],
    }


def _compared(folder: Path, first: str, second: str, names: Sequence[str], console: Console) -> Sequence[Comparison]:
    store = Store(folder).open()
    with Index(store) as index:
        records = [record for record in _records(index, folder, console) if record.cell.suite in names]
    try:
        sides = select(records, first), select(records, second)
    except ValueError as error:
        raise UsageError(str(error)) from error
    examples = ExampleReader(store.read_examples)
    margins = {name: info.margins for name, info in suite_infos().items()}
    lines = compare(*sides, examples=(examples, examples), margins=margins)
    _print_problems(examples, console)
    return lines


def _line(line: Comparison) -> ComparisonDocument:
    document: ComparisonDocument = {
        "suite": line.suite,
        "task": line.name,
        "unit": line.unit,
        "outcome": line.outcome,
        "difference": None,
        "half_width": None,
        "p": None,
        "equivalence_p": None,
        "margin": None,
        "test": None,
        "pairs": 0,
        "lost": 0,
        "reason": line.reason,
        "note": line.note,
    }
    found = line.difference
    if found is not None:
        document["difference"] = found.estimate.mean
        document["half_width"] = found.estimate.half_width
        document["p"] = found.p
        document["equivalence_p"] = found.equivalence_p
        document["margin"] = found.margin
        document["test"] = found.test
        document["pairs"] = found.pairs
        document["lost"] = found.lost
    return document
