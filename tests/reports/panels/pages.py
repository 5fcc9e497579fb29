"""A page of a few records: its data, and these as text in which a test looks for words."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.records.record import Record
from sparsebench.reports.tables.suite_table import SuiteInfo

INFOS = {"vtab": SuiteInfo(title="T", description="", baseline="row 00", unit="molecule")}


def page(folder: Path, *records: Record) -> str:
    """The sheets of the page as text; the row "row 00" comes first."""
    return as_text(unpack(render(Reading(records=records), folder, INFOS).read_text()))


def as_text(document: dict[str, Any]) -> str:
    """All sheets, one after another."""
    return "\n".join(line for sheet in document["sheets"] for line in _sheet(sheet))


def _sheet(sheet: dict[str, Any]) -> Iterator[str]:
    yield f"<h3>{sheet['title']}</h3>"
    for block in sheet["blocks"]:
        yield from filter(None, [block.get("fold"), block.get("title"), block.get("text"), block.get("caption")])
        if block["kind"] == "chart":
            yield f'chart "{block["spec"]["description"]}"'
        for row in block.get("rows", ()):
            yield "".join(f"<td>{text}</td>" for text in row)
        for picture in block.get("pictures", ()):
            yield picture["svg"] or f"not drawn {picture['text']!r}"


def section(title: str, folder: Path, *records: Record) -> str:
    text = page(folder, *records)
    return text[text.index(f"<h3>{title}</h3>") + 4 :].partition("<h3>")[0]


def cells(text: str) -> list[str]:
    return re.findall(r"<td>([^<]*)</td>", text)
