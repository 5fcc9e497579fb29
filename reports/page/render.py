"""Records in, report out: `index.html` and the tables of each suite."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..records.files import check_folder, write_all
from ..records.store import StoreError
from ..tables import table_formats as printing
from ..tables.claims import document
from ..tables.dataframe import newest, write_csv
from ..tables.matrix import Matrix, matrices
from ..tables.suite_table import SuiteInfo
from .html import render_html
from .provenance import commits_note, made_by, these_hold_at
from .reading import Reading
from .section import Section, section


def render(
    reading: Reading,
    out: Path,
    suites: Mapping[str, SuiteInfo],
    show: Callable[[Section], None] | None = None,
) -> Path:
    """Writes the report into the folder `out` and returns the path of its page.

    Files: `index.html`; per suite `table-<suite>.md`, `.csv` and `.tex`; `scores.csv`, one row per record and metric;
    `claims.md`, if there are findings.

    Args:
        reading: what is reported; of several records with one key the last finished counts.
        out: the folder, made if it is missing.
        suites: how each suite is presented; an unknown one goes by its name, its first row is the baseline.
        show: is given the section of each suite as soon as it is made.

    Raises:
        StoreError: `out` cannot be written, or a record is gone.
    """
    with _writing(out):
        check_folder(out)  # before the tables are made and shown
    current, _ = newest(reading.records)
    found = matrices(current, reading.examples, reading.roles)
    sections = []
    for matrix, anchor in zip(found, _anchors(found), strict=True):
        made = section(matrix, _info(matrix, suites), anchor, reading.whole, reading.standings)
        if show is not None:
            show(made)
        sections.append(made)
    holds = f"Records {made_by(current)}; {these_hold_at(reading.standings)}" if current else ""
    notes = (holds, commits_note(current, reading.unknown_commits))
    files = {"index.html": render_html(reading, current, sections, notes)}
    for part in sections:
        files |= _tables(part, holds)
    if reading.findings:
        files["claims.md"] = document.to_markdown(reading.findings, notes, reading.objection)
    scores = io.StringIO(newline="")
    write_csv(current, scores)
    with _writing(out):
        write_all(out, {**files, "scores.csv": scores.getvalue()})
    return out / "index.html"


def _info(matrix: Matrix, suites: Mapping[str, SuiteInfo]) -> SuiteInfo:
    known = suites.get(matrix.suite)
    return known or SuiteInfo(title=matrix.suite, description="", baseline=matrix.rows[0].label, unit="example")


def _anchors(found: Sequence[Matrix]) -> list[str]:
    """Names for files and anchors: the suite, with its version where there are several."""
    versions = Counter(matrix.suite for matrix in found)
    anchors = []
    for matrix in found:
        name = matrix.suite if versions[matrix.suite] == 1 else f"{matrix.suite}-{matrix.version}"
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


@contextmanager
def _writing(out: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise StoreError(f"the report cannot be written to {out}: {error.strerror or error}") from error
