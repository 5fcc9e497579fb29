"""What `sparsebench reproduce` says of tables, as documents and for people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from sparsebench.data.sources import source
from sparsebench.reports.published.paper_tables import PaperTable, paper_tables, printed
from sparsebench.reports.tables.published import PAPER, Shown, SideBySide

from ...planning.durations import clock
from .chosen import ANOTHER, STAND_IN
from .commands import commands
from .documents import BlockDocument, NeedsDocument, ReproduceDocument, TableDocument
from .needs import IMPOSSIBLE, needs_of
from .plan import Plan, plan_of

MARKS = "± and [ , ]: 95 % interval; * covers the test examples alone, ° the seeds alone"


def tables_text() -> str:
    """The list for people: tables with their states, below their papers."""
    tables = paper_tables().values()
    width = max(len(table.id) for table in tables)
    found: list[str] = []
    paper = ""
    for table in tables:
        if table.paper != paper:
            paper = table.paper
            found.append(paper)
        state = needs_of(plan_of(table.id)).state
        found.append(f"  {table.id:<{width}}  {state:<20}  {table.table}: {table.caption}")
    return "\n".join(found)


def reproduce_document(names: Iterable[str]) -> ReproduceDocument:
    """The named tables. Raises `UsageError` for an unknown one."""
    tables = [table_document(name, plan_of(name)) for name in names]
    return {"schema": "sparsebench/reproduce/1", "tables": tables}


def table_document(name: str, plan: Plan) -> TableDocument:
    """A table: what is published, what it needs, its state and its commands."""
    table = paper_tables()[name]
    return {
        "id": table.id,
        "paper": table.paper,
        "table": table.table,
        "number_known": table.number_known,
        "caption": table.caption,
        "metric": table.metric,
        "models": list(table.models),
        "datasets": list(table.datasets),
        "published": list(_published(table)),
        "unknown": table.unknown,
        "read_in": table.read_in,
        "note": table.note,
        "official_command": table.official_command,
        "needs": _needs(table, plan),
        "differs": list(plan.differs),
        "commands": commands(table.id, plan),
        "folder": None,
        "comparison": [],
    }


def block_document(block: SideBySide, notes: Sequence[str] = ()) -> BlockDocument:
    """A block, ours as numbers."""
    rows: list[dict[str, Any]] = []
    for line in block.lines:
        values = [value.numbers() if isinstance(value, Shown) else value for value in line.values]
        rows.append({"who": line.who, "name": line.name, "values": values})
    columns = [list(column) for column in block.columns]
    return {"source": block.source, "columns": columns, "notes": list(notes), "rows": rows}


def _published(table: PaperTable) -> Iterator[BlockDocument]:
    for block in printed(table):
        yield block_document(block, block.notes)


def _needs(table: PaperTable, plan: Plan) -> NeedsDocument:
    needs = needs_of(plan)
    data = "packages" if plan.profile else "text and conversations of yours"
    if plan.data:
        about = source(plan.data)
        data = f"a folder of yours, {about.environment}: {about.note}"
    return {
        "state": needs.state,
        "because": needs.because,
        "machine": None if needs.machine is None else needs.machine.name,
        "bytes": needs.bytes,
        "hours": needs.hours,
        "arithmetic": list(needs.arithmetic),
        "checkpoints": dict(plan.checkpoints),
        "data": data if needs.state != IMPOSSIBLE else "",
        "paper_hardware": table.hardware,
    }


def table_text(document: TableDocument) -> str:
    """A table for people."""
    kind = "table " if document["number_known"] and document["table"][:1].isdigit() else ""
    lines = [f"{document['paper']}, {kind}{document['table']}", document["caption"]]
    for title in ("metric", "models", "datasets", "note"):
        lines += _line(title, document)
    lines += ["", *_figures(document)]
    lines += ["", *_needs_text(document["needs"])]
    for title in ("differs", "commands"):
        if document[title]:
            heading = {"differs": "not as in the paper:", "commands": "commands:"}[title]
            lines += ["", heading, *(f"  {text}" for text in document[title])]
    lines += _line("the paper's own command", document, "official_command")
    return "\n".join(lines)


def comparison_text(blocks: Sequence[SideBySide], unknown: str, differs: Sequence[str] = ()) -> str:
    """Ours beside the paper's, in the columns where ours have a score, and what is not as in the paper."""
    lines: list[str] = []
    who = {line.who for block in blocks for line in block.lines}
    if STAND_IN in who:
        lines.append("STAND-IN: a small model in the place of the paper's: it shows that the path works, no more.")
    if ANOTHER in who:
        lines.append("ANOTHER MODEL: not the paper's network, or not of its size, so it is not called ours.")
    if unknown:
        lines.append(f"the paper's figures: unknown ({unknown})")
    for block in map(_with_ours, blocks):
        shown = [[line.who, line.name, *line.texts] for line in block.lines]
        lines += [*_grid(block.source, [list(column) for column in block.columns], shown, owners=True), ""]
    if differs:
        lines += ["not as in the paper:", *(f"  {text}" for text in differs), ""]
    return "\n".join([*lines, MARKS])


def _with_ours(block: SideBySide) -> SideBySide:
    """The columns in which a row of ours has a score; all where none has."""
    ours = [line for line in block.lines if line.who != PAPER]
    places = [place for place in range(len(block.columns)) if any(line.values[place] is not None for line in ours)]
    if not places:
        return block
    lines = tuple(replace(line, values=tuple(line.values[place] for place in places)) for line in block.lines)
    return replace(block, columns=tuple(block.columns[place] for place in places), lines=lines)


def _line(title: str, document: Mapping[str, Any], key: str = "") -> list[str]:
    value = document[key or title]
    text = ", ".join(value) if isinstance(value, list) else value
    return [f"{title}: {text}"] if text else []


def _figures(document: TableDocument) -> list[str]:
    if document["unknown"]:
        return [f"published figures: unknown ({document['unknown']})"]
    lines = [f"published figures, read in: {document['read_in']}"]
    for block in document["published"]:
        rows = [[row["name"], *row["values"]] for row in block["rows"]]
        lines += _grid(block["source"], block["columns"], rows)
        lines += [f"  {note}" for note in block["notes"]]
    return lines


def _needs_text(needs: NeedsDocument) -> list[str]:
    if needs["state"] == IMPOSSIBLE:
        return [f"state: impossible here, because {needs['because']}"]
    lines = [f"state: {needs['state']}", "needs:"]
    for name, checkpoint in needs["checkpoints"].items():
        lines.append(f"  checkpoint {name}: {checkpoint}")
    lines.append(f"  data: {needs['data']}")
    lines.append(f"  {needs['machine']}: {needs['bytes'] / 1e9:.3g} GB of weights and what training adds to them")
    if needs["paper_hardware"]:
        lines.append(f"  the paper's own: {needs['paper_hardware']}")
    lines.append(f"  {clock(3600 * needs['hours'])}, reckoned and not measured, without loading and reading:")
    return lines + [f"    {text}" for text in needs["arithmetic"]]


def _grid(
    source_name: str, columns: Sequence[Sequence[str]], rows: Sequence[Sequence[str]], *, owners: bool = False
) -> list[str]:
    """Columns in line below their tasks and metrics; what is the same for all stands in the title."""
    if not columns:
        return [source_name]
    empty = [""] * (2 if owners else 1)
    titles = [source_name] if source_name else []
    heads = []
    for names in zip(*columns, strict=True):
        if len(set(names)) > 1:
            heads.append([*empty, *names])
        else:
            titles.append(names[0])
    everything = [*heads, *rows]
    widths = [max(len(row[place]) for row in everything) for place in range(len(everything[0]))]
    lines = [", ".join(titles)]
    for row in everything:
        lines.append("  " + "  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)).rstrip())
    return lines
