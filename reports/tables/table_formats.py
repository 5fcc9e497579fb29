"""The tables as Markdown, CSV, LaTeX and, for the terminal, rich."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from ..records.visible import visible
from . import formatting
from .claims import Finding
from .claims.document import effects, verdict_of
from .comparison import TITLES, Comparison
from .cost_columns import TEACHER, TRAINING, CostColumn, columns_of
from .suite_entries import SuiteTable, entry_text
from .terminal import OUTCOME_STYLES, VERDICT_STYLES, table_of_texts

if TYPE_CHECKING:
    from rich.table import Table

LEGEND = (
    "mean ± half width of the 95 % interval, or mean [its ends] where the sides differ (Wilson's, of fractions near 0 "
    "or 100 %); it covers seeds and test examples; * test examples alone (a deterministic row, or one seed, which "
    "decides nothing of a row that the seed changes); ° seeds alone (no standard error over examples is known); bold: "
    "the best of a column in which some rows can be distinguished from it, and those that cannot (paired test, "
    "corrected over the rows; controls and ceilings apart); † not clear of chance; ! some seeds failed."
)
STANDING = "✓: the verdict stands when it is corrected over all claims of the study (Holm)."
COMPARED = "One comparison a line, not corrected; the page corrects over the rows of a table."
Style = Callable[[str], str]
_LATEX = {"&": r"\&", "%": r"\%", "_": r"\_", "#": r"\#", "±": r"$\pm$", "−": "$-$", "†": r"$\dagger$", "µ": r"$\mu$"}
_LATEX |= {"°": r"$^\circ$"}
_LATEX |= {"$": r"\$", "{": r"\{", "}": r"\}", "\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "·": r"$\cdot$"}
_LATEX |= {"\n": " ", "\r": " ", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}
_LATEX |= {"^": r"\textasciicircum{}", "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--"}


def footnotes(table: SuiteTable) -> dict[str, int]:
    """Reasons of the "n/a" entries, numbered from 1 in the order of the table."""
    numbers: dict[str, int] = {}
    for line in table.lines:
        for entry in line.entries:
            if entry.kind == "n/a" and entry.reason:
                numbers.setdefault(entry.reason, len(numbers) + 1)
    return numbers


def _notes(table: SuiteTable) -> list[str]:
    """The footnotes, each in one line: in LaTeX they are comments, which end with their line."""
    return [f"[{number}] n/a: {formatting.one_line(reason)}" for reason, number in footnotes(table).items()]


def captions(table: SuiteTable) -> list[str]:
    """What a reader must know of single tasks, a sentence each."""
    return [visible(text) for text in table.captions.values()]


def legend(table: SuiteTable) -> str:
    """What the marks of a table mean, which type of processor its times are of, and what rows were deployed."""
    said = LEGEND
    if table.deployed:
        said += f" Size, FLOPs and latency of the compact form, made after training: {'; '.join(table.deployed)}."
    if not table.processors:
        return said
    first, *others = table.processors
    notes = "".join(f"; [P{number}]: {name}" for number, name in enumerate(others, start=2))
    return f"{said} Times: {first}{notes}."


def cost_texts(costs: Sequence[float | None]) -> list[str]:
    """The cost columns as printed."""
    return _printed(columns_of(len(costs)), costs)


def training_texts(costs: Sequence[float | None]) -> list[str]:
    """The columns of training costs as printed; none where the table has none."""
    return _printed((*TRAINING, *TEACHER)[: len(costs)], costs)


def _printed(columns: Sequence[CostColumn], costs: Sequence[float | None]) -> list[str]:
    return [getattr(formatting, column.how)(value) for column, value in zip(columns, costs, strict=True)]


def to_markdown(table: SuiteTable) -> str:
    """A pipe table with the captions of tasks, a legend and the footnotes."""
    titles, rows = _grid(table, name=formatting.markdown_text, bold=lambda text: f"**{text}**")
    rule = ["---"] + ["---:"] * (len(titles) - 1)
    lines = [f"## {table.title}", "", *map(formatting.markdown_row, [titles, rule, *rows]), ""]
    said = captions(table)
    if said:
        lines += [" ".join(said), ""]
    return "\n".join([*lines, legend(table), *map(formatting.markdown_text, _notes(table))]) + "\n"


def to_csv(table: SuiteTable) -> str:
    """Plain numbers, unrounded and unscaled: six columns per task (mean, half width, both ends of the interval and what
    it covers, status), then the costs. The half width is the longer side where the sides differ. Names that a
    spreadsheet would run as a formula have a ' in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    scored = [f"{c.task}@{c.version} {c.metric} [{c.unit}]" for c in table.columns]
    scored += [f"{a.title} [{a.columns[0].unit}]" for a in table.averages]
    titles = ["label", "backbone", "variant"]
    for name in scored:
        titles += [f"{name} {field}" for field in ("mean", "half_width", "low", "high", "covers", "status")]
    writer.writerow(map(formatting.csv_cell, [*titles, *table.cost_titles, *table.training_titles]))
    for line in table.lines:
        row = list(map(formatting.csv_cell, (line.row.label, line.row.backbone, line.row.variant)))
        for entry, _ in table.scores(line):
            # The writer makes an empty field of None, and keeps all digits.
            value = entry.estimate
            if value is None:
                row += [None] * 5
            else:
                row += [value.mean, value.half_width, value.low, value.high, value.covers]
            row.append(entry.kind)
        writer.writerow([*row, *line.costs, *line.training])
    return buffer.getvalue()


def to_latex(table: SuiteTable) -> str:
    """A booktabs tabular, ready to be put inside a table environment."""
    titles, rows = _grid(table, name=_escape, value=_escape, bold=lambda text: rf"\textbf{{{text}}}")
    columns = "l" + "r" * (len(titles) - 1)
    lines = [f"% {note}" for note in _notes(table)]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", _latex_row(titles), r"\midrule"]
    lines += map(_latex_row, rows)
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_row(cells: Iterable[str]) -> str:
    r"""With braces before a row that begins with [ or *, which `\midrule` or `\\` would take for an argument."""
    text = " & ".join(cells)
    start = "{}" if text.startswith(("[", "*")) else ""
    return rf"{start}{text} \\"


def comparison_table(lines: Sequence[Comparison], a: str, b: str) -> Table:
    """The outcome of `compare` for the terminal."""
    from rich.text import Text

    notes = dict.fromkeys(line.note for line in lines if line.note)
    rows = []
    for line in lines:
        *cells, outcome = line.texts()
        rows.append([*cells, (outcome, OUTCOME_STYLES.get(line.outcome, ""))])
    about = Text("\n".join([*notes, COMPARED]))
    title = f"{a} minus {b} (positive: {a} is better)"
    right = ("difference [95 %]", "p", "pairs")
    return table_of_texts(TITLES, rows, right, title=title, caption=about, header_style="bold")


def claims_table(findings: Iterable[Finding]) -> Table:
    """The verdicts of a study for the terminal."""
    rows = []
    for one in findings:
        verdict = verdict_of(one), VERDICT_STYLES.get(one.verdict, "")
        rows.append([one.claim.id, one.claim.statement, verdict, "\n".join(effects(one)), str(one.seeds)])
    titles = ("claim", "statement", "verdict", "effect [95 %]", "seeds")
    return table_of_texts(titles, rows, ("seeds",), title="Claims", caption=STANDING, header_style="bold")


def _grid(table: SuiteTable, name: Style, bold: Style, value: Style = str) -> tuple[list[str], list[list[str]]]:
    """Titles and rows in which `name` has escaped what others call their things, and `value` our own figures."""
    titles = ["method", *table.score_titles, *table.cost_titles, *table.training_titles]
    notes = footnotes(table)
    rows = []
    for line in table.lines:
        row = [name(line.shown_name)]
        for entry, unit in table.scores(line):
            # Escaped before it is made bold: the braces of `\textbf` are not the text's own.
            text = value(entry_text(entry, unit, notes))
            row.append(bold(text) if entry.best else text)
        row += map(value, [*cost_texts(line.costs), *training_texts(line.training)])
        rows.append(row)
    return [name(visible(title)) for title in titles], rows


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
