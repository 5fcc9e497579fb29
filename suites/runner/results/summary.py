"""What `report` and `compare` do with a result folder."""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from rich.console import Console

from sparsebench.reports.page.provenance import commits_note, these_hold_at
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.page.section import Section
from sparsebench.reports.page.speed import speed_or_reason
from sparsebench.reports.records.record import Record
from sparsebench.reports.tables.brief import Brief, to_document, to_terminal
from sparsebench.reports.tables.claims import Finding
from sparsebench.reports.tables.comparison import Comparison, compare, select
from sparsebench.reports.tables.dataframe import newest
from sparsebench.reports.tables.suite_entries import Role
from sparsebench.reports.tables.suite_table import SuiteInfo
from sparsebench.reports.tables.table_formats import claims_table, comparison_table

from ..console import open_console
from ..discovery.registry import Entry, entries, suites
from ..documents import ClaimDocument, CompareDocument, ComparisonDocument, ReportDocument, WithoutScoreDocument
from ..errors import UsageError, near
from .readings import open_readings

MAX_TERMINAL_ROWS = 40


def suite_infos() -> dict[str, SuiteInfo]:
    """How the report presents each suite."""
    controls = _controls()
    roles = _roles()
    deployed = _deployed()
    return {
        name: SuiteInfo(
            title=about.title,
            description=about.description,
            baseline=about.baseline,
            unit=about.unit,
            group_baselines=about.group_baselines,
            controls=controls,
            roles=roles,
            deployed=deployed,
            margins=about.margins,
            random_weights=_random_weights(name),
        )
        for name, about in suites().items()
    }


def _random_weights(suite: str) -> frozenset[str]:
    """The backbones of a suite whose files say that their weights are random."""
    known = entries("backbone", suite).items()
    return frozenset(name for name, entry in known if entry.constant("RANDOM_WEIGHTS", False))


def _controls() -> dict[str, Sequence[Mapping[str, Any]]]:
    """Method to the configurations that its file calls controls."""
    found = {}
    for name, entry in _methods():
        found[name] = entry.constant("CONTROLS", ())
    return found


def _deployed() -> dict[str, Mapping[str, Any]]:
    """Method to the configuration in which costs are of a compact form, where its file names one."""
    found = {name: entry.constant("DEPLOYED", None) for name, entry in _methods()}
    return {name: config for name, config in found.items() if config is not None}


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


@dataclass(frozen=True)
class Report:
    """A report that was written: its page, what it was made of, and the few figures that a terminal shows."""

    page: Path
    reading: Reading
    suites: Mapping[str, Sequence[Brief]]


def write_report(folders: Sequence[Path], out: Path, show: Callable[[Sequence[Brief]], None] | None = None) -> Report:
    """Write the report of one folder, or of several whose rows stand side by side, into `out`.

    Args:
        folders: result folders.
        out: where to; made if it is missing.
        show: is given the families of tasks of each suite as soon as they are known.

    Raises:
        StoreError: a folder without results, or `out` cannot be written.
        UsageError: a folder without a record that can be read.
    """
    found: dict[str, Sequence[Brief]] = {}

    def take(section: Section) -> None:
        found[section.anchor] = [one.brief for one in section.headlines]
        if show is not None:
            show(found[section.anchor])

    with open_readings(folders) as reading:
        page = render(reading, out, suite_infos(), take)
    return Report(page, reading, found)


def print_report(folders: Sequence[Path], out: Path) -> None:
    """Write the report and print its tables. Raises what `write_report` raises."""
    console = open_console()
    report = write_report(folders, out, lambda found: print_briefs(found, console))
    reading = report.reading
    for line in notes(reading):
        console.print(line, style="yellow", highlight=False, markup=False)
    if reading.findings:
        console.print(claims_table(reading.findings))
    console.print(f"report: {report.page}", highlight=False, soft_wrap=True)


def notes(reading: Reading) -> list[str]:
    """What stands beside the tables: where the records hold, files that were skipped, speed runs that fell short."""
    lines = _skipped(reading)
    if reading.records:  # there are none beside speed runs alone
        lines.append(_superseded(reading))
        lines.append(these_hold_at(reading.standings))
        lines.append(commits_note(reading.records, reading.unknown_commits))
    lines += _without_examples(reading)
    report, error = speed_or_reason(reading.speed)
    if report is not None:
        lines += report.shortfalls
    if error is not None:
        lines.append(error)
    return [line for line in lines if line]


def _superseded(reading: Reading) -> str:
    """How many records are not shown, since a newer one is of the same cell; of several folders the last run counts."""
    _, older = newest(reading.records)
    if not older:
        return ""
    if len(older) == 1:
        return "1 record is not shown: a newer one, of other code or libraries, is of the same cell"
    return f"{len(older)} records are not shown: newer ones, of other code or libraries, are of the same cells"


def _skipped(reading: Reading) -> list[str]:
    """A line for each file that could not be read."""
    return [f"skipped {problem.path.name}: {problem.reason}" for problem in reading.problems]


def _without_examples(reading: Reading) -> list[str]:
    """A line for each record that was compared without its examples; known once something was compared."""
    return [f"compared without its examples: {problem}" for problem in reading.examples.problems.values()]


def report_document(report: Report) -> ReportDocument:
    """The report for programs: every row's score, outcome and two costs, cells without one, verdicts on claims."""
    return {
        "schema": "sparsebench/report/1",
        "folders": [str(folder) for folder in report.reading.folders],
        "page": str(report.page),
        "suites": {name: [to_document(brief) for brief in found] for name, found in report.suites.items()},
        "without_score": [_without_score(record) for record in report.reading.records if record.status != "ok"],
        "claims": [_claim(finding) for finding in report.reading.findings],
        "notes": notes(report.reading),
    }


def _without_score(record: Record) -> WithoutScoreDocument:
    assert record.status != "ok" and record.reason is not None
    cell = record.cell
    return {
        "id": record.id,
        "suite": cell.suite,
        "task": cell.task,
        "label": cell.label,
        "backbone": cell.backbone,
        "seed": cell.seed,
        "status": record.status,
        "reason": record.reason,
    }


def _claim(finding: Finding) -> ClaimDocument:
    return {"id": finding.claim.id, "statement": finding.claim.statement, "verdict": finding.verdict}


def print_briefs(found: Sequence[Brief], console: Console) -> None:
    """The first rows of each family: a terminal is no place for hundreds."""
    for brief in found:
        console.print(to_terminal(brief, MAX_TERMINAL_ROWS))


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
    with open_readings([folder]) as reading:
        records = [record for record in reading.records if record.cell.suite in names]
        try:
            sides = select(records, first), select(records, second)
        except ValueError as error:
            raise UsageError(str(error)) from error
        margins = {name: info.margins for name, info in suite_infos().items()}
        lines = compare(*sides, examples=(reading.examples, reading.examples), margins=margins)
    for line in (*_skipped(reading), *_without_examples(reading)):
        console.print(line, style="yellow", highlight=False, markup=False)
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
