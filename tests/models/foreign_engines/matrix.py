"""The table of engines, `models/ENGINES.md`, measured with every engine that some interpreter here has.

    ENGINES_PYTHON=/path/of/python:/another python -m tests.models.foreign_engines.matrix [engine [row ...]]

An engine that no interpreter has keeps the column that it had.
"""

import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.stock_export.choice import choose
from sparsebench.models.moe.stock_export.source import Source

from ..tables import markdown, rows_of
from .engines import ENGINES, NEW, Answer, interpreter, measured
from .exports import CASES

TABLE = Path(__file__).parents[3] / "models" / "ENGINES.md"
NONE = "–"
NOT_ASKED = "·"
HEAD = f"""# Which engine runs which export

Made by `python -m tests.models.foreign_engines.matrix`; not written by hand. Each row is a small random dense model,
converted by `moe.convert`; each cell the architecture that `moe.export(model, folder, engine=...)` writes and the
largest difference of the ten likeliest log-probabilities of {NEW} greedy tokens, which are the same tokens. {NONE}: the
export is refused; in brackets is what the engine makes of the folder for transformers, which is why.

onnxruntime runs the graph that `torch.onnx.export` makes of the folder for transformers, with
`experts_implementation="batched_mm"`: one row of each architecture, {NOT_ASKED} elsewhere. For compressed-tensors the
export was opened, quantised to 8 bits in groups of 32 (`quantise`) and written by `export_compressed_tensors`; it is
compared with the quantised model.

"""


class Table(NamedTuple):
    """Versions by engine, and cells by row and engine."""

    versions: dict[str, str]
    cells: dict[str, dict[str, str]]


def read(text: str) -> Table:
    """The table in a file, without what surrounds it."""
    versions: dict[str, str] = {}
    cells: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        name, _, version = line.removeprefix("- ").partition(": ")
        if line.startswith("- ") and name in ENGINES:
            versions[name] = version
    for row, *found in rows_of(text):
        cells[row] = dict(zip(ENGINES, found, strict=True))
    return Table(versions, cells)


def rendered(table: Table) -> str:
    lines = [f"- {name}: {table.versions[name]}" for name in ENGINES if name in table.versions]
    body = []
    for row in CASES:
        cells = table.cells.get(row, {})
        body.append([row, *(cells.get(name, "?") for name in ENGINES)])
    lines += ["", *markdown(["model", *ENGINES], body), "", "## Why an export is refused", ""]
    for row in CASES:
        for reason in dict.fromkeys(reason for _, reason in choices(row).values() if reason):
            lines.append(f"- {row}: {reason}")
    return HEAD + "\n".join(lines) + "\n"


def choices(row: str) -> dict[str, tuple[str, str]]:
    """By engine the architecture that `export` writes, or `NONE` and why, without the ways out."""
    found = {}
    model = CASES[row].model()
    for name, engine in ENGINES.items():
        if row not in engine.rows:
            found[name] = (NOT_ASKED, "")
            continue
        try:
            found[name] = (choose(Source.of(model), engine.export)[0].name, "")
        except ModelError as error:
            found[name] = (NONE, str(error).split(": use ")[0].split(", and for transformers")[0])
    return found


def cell(engine: str, found: str | None, answer: Answer | None) -> str:
    """The text of one cell."""
    if answer is None:
        return NONE
    if answer.error:
        words = "does not run"
    elif answer.exact(engine):
        words = f"{answer.difference:.0e}" if answer.difference else "0"
    elif answer.same == NEW:
        words = f"off by {answer.difference:.0e}"
    else:
        words = f"wrong from token {answer.same + 1}"
    return f"{found} {words}" if found else f"{NONE} ({words})"


def column(engine: str, folder: Path, rows: Sequence[str]) -> dict[str, str]:
    """Cells of some rows, or of all."""
    architectures, answers = measured(engine, folder, rows)
    for name, answer in answers.items():
        sys.stderr.write(f"{engine}, {name}: {architectures.get(name)} {answer}\n")
    found = {name: cell(engine, architectures.get(name), answers.get(name)) for name in rows or ENGINES[engine].rows}
    return found if rows else dict.fromkeys(CASES, NOT_ASKED) | found


def main(engine: str = "", *rows: str) -> None:
    """Measure one engine or all, and write the table."""
    for name in (engine,) if engine else ENGINES:
        found = interpreter(name)
        if found is None:
            sys.stderr.write(f"{name}: no interpreter has {', '.join(ENGINES[name].packages)}\n")
            continue
        with tempfile.TemporaryDirectory() as folder:
            cells = column(name, Path(folder), rows)
        # Only now: another engine may have been measured meanwhile.
        table = read(TABLE.read_text()) if TABLE.exists() else Table({}, {})
        table.versions[name] = f"{', '.join(found[1])}; {platform.machine()}"
        for row, text in cells.items():
            table.cells.setdefault(row, {})[name] = text
        TABLE.write_text(rendered(table))


if __name__ == "__main__":
    main(*sys.argv[1:])
