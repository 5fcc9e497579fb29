"""Records in, report out: `index.html` and the tables of each suite."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..records.example_files import ExampleReader
from ..records.files import check_folder, write_all
from ..records.index.slim import Whole, already_whole
from ..records.record import Record
from ..records.store import Problem, StoreError
from ..records.vouchers import Standing
from ..tables import table_formats as printing
from ..tables.claims import Finding, Roles, document
from ..tables.dataframe import newest, write_csv
from ..tables.matrix import Matrix, matrices
from ..tables.suite_table import SuiteInfo
from .holding import made_by, these_hold_at
from .html import Page, here, render_html
from .provenance import commits_note
from .rows import Where
from .section import Section, section
from .speed import speed_or_reason


def render(
    records: Sequence[Record],
    problems: Sequence[Problem],
    out: Path,
    suites: Mapping[str, SuiteInfo],
    speed: Path | None = None,
    findings: Sequence[Finding] = (),
    standings: Sequence[Standing | None] = (),
    objection: str = "",
    words: str = "",
    unknown_commits: Collection[str] = (),
    roles: Roles | None = None,
    whole: Whole = already_whole,
    examples: ExampleReader | None = None,
    show: Callable[[Section], None] | None = None,
    where: Where = here,
    title: str = "Report",
) -> Path:
    """Writes the report into the folder `out` and returns the path of its page.

    Files: `index.html`; per suite `table-<suite>.md`, `.csv` and `.tex`; `scores.csv`, one row per record and metric;
    `claims.md`, if there are findings.

    Args:
        records: all records of the results; of several with one key the last finished counts.
        problems: files that could not be read; they are named and counted on the page.
        out: the folder, made if it is missing.
        suites: how each suite is presented; an unknown one goes by its name, its first row is the baseline.
        speed: the JSON of pytest-benchmark, if there is one.
        findings: what a study found of its claims.
        standings: what running cells again has shown of the records, for each folder that they are of.
        objection: one line that says what the set-up of a study is objected to for.
        words: what people read from the results, in Markdown.
        unknown_commits: commits that records name and that the repository does not have.
        roles: suite to row label to what the row is there for, where the plan says it.
        whole: from a slim record to the whole one, for the few whose curves, details and tracebacks are shown.
        examples: reads per-example outcomes, so that rows are compared on the same examples.
        show: is given the section of each suite as soon as it is made.
        where: the folder of a record, for the command that verifies it.
        title: of the page.

    Raises:
        StoreError: `out` cannot be written, or a record is gone.
    """
    with _writing(out):
        check_folder(out)  # before the tables are made and shown
    current, superseded = newest(records)
    found = matrices(current, examples, roles)
    sections = []
    for matrix, anchor in zip(found, _anchors(found), strict=True):
        made = section(matrix, _info(matrix, suites), anchor, whole, standings)
        if show is not None:
            show(made)
        sections.append(made)
    report, error = speed_or_reason(speed)
    note = f"Records {made_by(current)}; {these_hold_at(standings)}" if current else ""
    commits = commits_note(current, unknown_commits)
    page = Page(
        sections=sections,
        records=current,
        superseded=len(superseded),
        problems=problems,
        speed=report,
        speed_error=error,
        findings=findings,
        holds=note,
        commits=commits,
        objection=objection,
        words=words,
        title=title,
    )
    files = {"index.html": render_html(page, whole, where)}
    for part in sections:
        files |= _tables(part, note)
    if findings:
        files["claims.md"] = document.to_markdown(findings, (note, commits), objection)
    return _write(out, files, current)


def _info(matrix: Matrix, suites: Mapping[str, SuiteInfo]) -> SuiteInfo:
    known = suites.get(matrix.suite)
    return known or SuiteInfo(title=matrix.suite, description="", baseline=matrix.rows[0].label, unit="example")


def _anchors(found: Sequence[Matrix]) -> list[str]:
    """Names for files and anchors: the suite, with its version where there are several."""
    versions = Counter(matrix.suite for matrix in found)
    anchors = []
    for matrix in found:
        name = matrix.suite
        if versions[matrix.suite] > 1:
            name = f"{matrix.suite}-{matrix.version}"
        anchors.append(re.sub(r"[^A-Za-z0-9._-]", "-", name))
    return anchors


def _tables(part: Section, note: str) -> dict[str, str]:
    """The table of a suite; `note` says what made its records, and where they hold."""
    name = f"table-{part.anchor}"
    return {
        f"{name}.md": f"{printing.to_markdown(part.table)}\n{note}.\n",
        f"{name}.csv": printing.to_csv(part.table),
        f"{name}.tex": f"{printing.to_latex(part.table)}% {note}.\n",
    }


def _write(out: Path, files: Mapping[str, str], records: Sequence[Record]) -> Path:
    scores = io.StringIO(newline="")
    write_csv(records, scores)
    with _writing(out):
        write_all(out, {**files, "scores.csv": scores.getvalue()})
    return out / "index.html"


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the report cannot be written to {out}: {error.strerror or error}") from error
