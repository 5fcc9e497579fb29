"""The table of parity, `models/PARITY.md`: its lines from what was measured, and from the table of engines."""

import importlib.metadata
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path

from sparsebench.suites.runner.identity.machine import processor_type

from ..agreement import Figure
from ..foreign_engines.engines import ENGINES, NEW
from ..foreign_engines.matrix import NONE, NOT_ASKED
from ..foreign_engines.matrix import TABLE as ENGINES_TABLE
from ..foreign_engines.matrix import read as read_engines
from ..tables import markdown, rows_of
from .measuring import Measured
from .rows import Row

TABLE = Path(__file__).parents[3] / "models" / "PARITY.md"
COLUMNS = ("area", "ours", "other side", "inputs", "compared", "largest difference", "outputs up to", "allowed")
NAMED = 5
"""Columns before those that are measured."""
NOTHING = "–"
EQUAL = "bit-equal"
VERSIONS = ("torch", "transformers", "peft", "timm", "safetensors")
HEAD = f"""# What equals what, to which digit

Made by `make parity`; not written by hand. The rows, and the tests that measure them, are in
`tests/models/parity/rows.yaml`. Of all that the tests of a row compare, a line has the comparison whose difference is
the largest beside what was expected: the largest absolute difference, the greatest absolute value expected, and the
difference that is allowed. {EQUAL}: it is 0.0; where 0 is allowed, nothing else passes. Models are small and random,
in float32 unless a row says otherwise. What could not be run says what it needs; `adapters` needs an older
transformers, so it runs in an interpreter that `ENGINES_PYTHON` names. The lines of engines are those of
[ENGINES.md](ENGINES.md) in one, not measured again. `make parity` ends with an error where anything exceeds what is
allowed.

"""


def named(row: Row) -> list[list[str]]:
    """The cells of a row's lines before those that are measured."""
    first = [row.area, row.ours, row.other_side(), row.inputs]
    return [[*first, what] for what in row.compared or (NOTHING,)]


def lines(row: Row, measured: Measured) -> list[list[str]]:
    """All cells of a row's lines."""
    found = []
    for cells in named(row):
        figure = measured.figures.get(cells[-1])
        if figure is not None:
            found.append([*cells, *figure_cells(figure)])
        elif measured.failed:
            found.append([*cells, "**fails**", NOTHING, NOTHING])
        elif measured.skipped:
            found.append([*cells, f"not run: {next(iter(measured.skipped.values()))}", NOTHING, NOTHING])
        else:
            found.append([*cells, f"refused: {row.refused}", NOTHING, NOTHING])
    return found


def figure_cells(figure: Figure) -> list[str]:
    difference = f"{figure.difference:.1e}" if figure.difference else EQUAL
    allowed = f"{figure.allowed:.0e}" if figure.allowed else "0"
    return [difference if figure.holds else f"**{difference}**", f"{figure.scale:.3g}", allowed]


def engine_lines(text: str) -> list[list[str]]:
    """A line for each engine of the table of engines: how many exports it runs, and the largest difference."""
    table = read_engines(text)
    found = []
    for name, engine in ENGINES.items():
        cells = [row[name] for row in table.cells.values() if row[name] != NOT_ASKED]
        exported = [cell for cell in cells if not cell.startswith(NONE)]
        largest = max(_difference(cell) for cell in exported)
        inputs = f"{len(exported)} converted models ({len(cells) - len(exported)} more are refused)"
        what = f"log-probabilities of {NEW} greedy tokens"
        shown, _, allowed = figure_cells(Figure(what, largest, 0.0, engine.bound))
        other = table.versions[name].partition(";")[0]
        found.append(["engines", "`moe.export`", other, inputs, what, shown, NOTHING, allowed])
    return found


def _difference(cell: str) -> float:
    """That of an export which writes the same tokens; infinite if it does not."""
    _, _, figure = cell.partition(" ")
    return float(figure) if figure[:1].isdigit() else float("inf")


def problems(rows: Sequence[Row], measured: Sequence[Measured], engines: Iterable[Sequence[str]]) -> list[str]:
    """Why the run is red, a line each; nothing if it is not."""
    found = [
        f"{row.area}, {row.ours}: {line}"
        for row, each in zip(rows, measured, strict=True)
        for line in each.problems(row)
    ]
    return found + [f"engines, {line[2]}: {line[NAMED]}" for line in engines if line[NAMED].startswith("**")]


def rendered(rows: Sequence[Row], measured: Sequence[Measured], engines: Sequence[Sequence[str]]) -> str:
    body = [line for row, each in zip(rows, measured, strict=True) for line in lines(row, each)]
    versions = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in VERSIONS)
    about = [f"- measured on: {processor_type()}; {platform.machine()}", f"- with: {versions}", ""]
    return HEAD + "\n".join([*about, *markdown(COLUMNS, [*body, *engines])]) + "\n"


def committed() -> list[list[str]]:
    """The cells of all lines of the table that lies in the tree."""
    return rows_of(TABLE.read_text(encoding="utf-8"))


def engines() -> list[list[str]]:
    """The lines of engines, from their table in the tree."""
    return engine_lines(ENGINES_TABLE.read_text(encoding="utf-8"))
