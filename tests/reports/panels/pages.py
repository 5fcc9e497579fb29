"""A page of a few records as text, and what stands in the section of a panel."""

import re
from pathlib import Path

from sparsebench.reports.page.render import render
from sparsebench.reports.records.record import Record
from sparsebench.reports.tables.suite_table import SuiteInfo

INFOS = {"vtab": SuiteInfo(title="T", description="", baseline="row 00", unit="molecule")}


def page(folder: Path, *records: Record) -> str:
    """The row "row 00" comes first."""
    return render(records, [], folder, INFOS).read_text()


def section(title: str, folder: Path, *records: Record) -> str:
    text = page(folder, *records)
    return text[text.index(f"<h3>{title}</h3>") :].partition("<h3>Notes</h3>")[0]


def cells(text: str) -> list[str]:
    return re.findall(r"<td>([^<]*)</td>", text)
