"""What `sparsebench reproduce --json` prints; `suites/runner/documents.py` has the rules."""

from typing import Any, Literal, TypedDict


class NeedsDocument(TypedDict):
    """What a table takes. `hours` and `bytes` are reckoned; `because` says why it is impossible."""

    state: str
    because: str
    machine: str | None
    bytes: float
    hours: float
    arithmetic: list[str]
    checkpoints: dict[str, str]
    data: str
    paper_hardware: str


class BlockDocument(TypedDict):
    """Figures of one source. A row has `who`, `name`, and `values` by column.

    `who` is "paper", "ours", "another model" or "stand-in". Values are published texts, None, or of ours objects with
    value, low, high and unit.
    """

    source: str
    columns: list[list[str]]
    notes: list[str]
    rows: list[dict[str, Any]]


class TableDocument(TypedDict):
    """A table of a paper. `unknown` says why nobody knows its figures. A run adds its `folder` and the `comparison`."""

    id: str
    paper: str
    table: str
    number_known: bool
    caption: str
    metric: str
    models: list[str]
    datasets: list[str]
    published: list[BlockDocument]
    unknown: str
    read_in: str
    note: str
    official_command: str
    needs: NeedsDocument
    differs: list[str]
    commands: list[str]
    folder: str | None
    comparison: list[BlockDocument]


class ReproduceDocument(TypedDict):
    """`sparsebench reproduce --json`: the table that is named, or all."""

    schema: Literal["sparsebench/reproduce/1"]
    tables: list[TableDocument]
