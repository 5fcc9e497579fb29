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
from .comparison import Comparison
from .cost_columns import TEACHER, TRAINING, columns_of
from .suite_table import RIVALS, Average, Column, Entry, SuiteTable

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
_LATEX |= {"\n": " ", "\r": " "}
_LATEX |= {"^": r"\textasciicircum{}", "×": r"$\times$", "↑": r"$\uparrow$", "↓": r"$\downarrow$", "–": "--"}


def column_title(column: Column) -> str:
    """Task, unit and the direction that is better: "piqa (%) ↑"."""
    unit = formatting.shown_unit(column.unit) or column.metric
    return f"{column.task} ({unit}) {_arrow(column)}" if unit else column.task


def average_title(average: Average) -> str:
    """ "mean accuracy (%) ↑"."""
    unit = formatting.shown_unit(average.columns[0].unit)
    return f"{average.title} ({unit}) {_arrow(average.columns[0])}"


def footnotes(table: SuiteTable) -> dict[str, int]:
    """Reasons of the "n/a" entries, numbered from 1 in the order of the table."""
    reasons = [e.reason for line in table.lines for e in line.entries if e.kind == "n/a" and e.reason]
    return {reason: number for number, reason in enumerate(dict.fromkeys(reasons), start=1)}


def _notes(table: SuiteTable) -> list[str]:
    """The footnotes, each in one line: in LaTeX they are comments, which end with their line."""
    return [f"[{number}] n/a: {formatting.one_line(reason)}" for reason, number in footnotes(table).items()]


def legend(table: SuiteTable) -> str:
    """What the marks of a table mean, and which type of processor its times are of."""
    if not table.processors:
        return LEGEND
    first, *others = table.processors
    notes = "".join(f"; [P{number}]: {name}" for number, name in enumerate(others, start=2))
    return f"{LEGEND} Times: {first}{notes}."


def entry_text(entry: Entry, unit: str, notes: dict[str, int]) -> str:
    """What stands in a cell, without emphasis: 42.0 ± 1.3†, n/a [1], failed, –."""
    if entry.kind == "value" and entry.estimate is not None:
        marks = ("†" if entry.at_chance else "") + ("!" if entry.lost else "")
        return formatting.estimate(entry.estimate, unit) + marks
    if entry.kind == "n/a":
        return f"n/a [{notes[entry.reason]}]" if entry.reason in notes else "n/a"
    return "–" if entry.kind == "missing" else entry.kind


def cost_texts(costs: Sequence[float | None]) -> list[str]:
    """The cost columns as printed."""
    columns = columns_of(len(costs))
    return [getattr(formatting, column.how)(value) for column, value in zip(columns, costs, strict=True)]


def training_texts(costs: Sequence[float | None]) -> list[str]:
    """The columns of training costs as printed; none where the table has none."""
    columns = (*TRAINING, *TEACHER)[: len(costs)]
    return [getattr(formatting, how)(value) for (_, how, _), value in zip(columns, costs, strict=True)]


def to_markdown(table: SuiteTable) -> str:
    """A pipe table with a legend and the footnotes."""
    titles, rows = _grid(table, bold=lambda text: f"**{text}**")
    lines = [f"## {table.title}", "", _pipe(titles), _pipe(["---"] + ["---:"] * (len(titles) - 1))]
    lines += [_pipe(cell.replace("|", r"\|") for cell in row) for row in rows]
    lines += ["", legend(table), *_notes(table)]
    return "\n".join(lines) + "\n"


def to_csv(table: SuiteTable) -> str:
    """Plain numbers, unrounded and unscaled: four columns per task (mean, half width and what it covers,
    status), then the costs. Names that a spreadsheet would run as a formula have a ' in front."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    scored = [f"{c.task}@{c.version} {c.metric} [{c.unit}]" for c in table.columns]
    scored += [f"{a.title} [{a.columns[0].unit}]" for a in table.averages]
    titles = [f"{name} {part}" for name in scored for part in ("mean", "half_width", "covers", "status")]
    titles = ["label", "backbone", "variant", *titles, *table.cost_titles, *table.training_titles]
    writer.writerow(map(formatting.csv_cell, titles))
    for line in table.lines:
        row = [formatting.csv_cell(name) for name in (line.row.label, line.row.backbone, line.row.variant)]
        for entry in (*line.entries, *line.averages):
            value = entry.estimate
            row += ["" if value is None else repr(value.mean)]
            row += ["" if value is None or value.half_width is None else repr(value.half_width)]
            row += ["" if value is None else value.covers, entry.kind]
        writer.writerow([*row, *("" if cost is None else cost for cost in (*line.costs, *line.training))])
    return buffer.getvalue()


def to_latex(table: SuiteTable) -> str:
    """A booktabs tabular, ready to be put inside a table environment."""
    titles, rows = _grid(table, escape=_escape, bold=lambda text: rf"\textbf{{{text}}}")
    body = [" & ".join(row) + r" \\" for row in rows]
    notes = [f"% {note}" for note in _notes(table)]
    head = [rf"\begin{{tabular}}{{l{'r' * (len(titles) - 1)}}}", r"\toprule"]
    head += [" & ".join(_escape(title) for title in titles) + r" \\", r"\midrule"]
    return "\n".join([*notes, *head, *body, r"\bottomrule", r"\end{tabular}"]) + "\n"


def to_rich(table: SuiteTable, width: int) -> list[Table]:
    """The table for a terminal of `width` columns, cut into as many parts as that takes; best bold, failures red."""
    from rich.table import Table
    from rich.text import Text

    titles, rows = _grid(table)
    styles = [
        [
            _style(entry)
            for entry in (None, *line.entries, *line.averages, *(None for _ in (*line.costs, *line.training)))
        ]
        for line in table.lines
    ]
    notes = _notes(table)
    parts, widths = _fitting(titles, rows, width)
    shown = []
    for number, columns in enumerate(parts):
        last = number == len(parts) - 1
        caption = Text("\n".join([legend(table), *notes])) if last else None
        part = Table(title=None if number else table.title, caption=caption, caption_justify="left")
        for index in columns:
            part.add_column(titles[index], justify="right" if index else "left", overflow="fold", width=widths[index])
        for row, style in zip(rows, styles, strict=True):
            part.add_row(*(Text(row[index], style[index]) for index in columns))
        shown.append(part)
    return shown


def _fitting(titles: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> tuple[list[list[int]], list[int]]:
    """Columns of each part of a table (the first column, and as many others as fit), and the width of every column."""
    frame = 3  # a rule and two blanks between columns
    widths = [max(map(len, [*title.split(), *(row[index] for row in rows)])) for index, title in enumerate(titles)]
    widths[0] = min(widths[0], width // 3)
    start = width - 1 - widths[0] - frame
    parts, room = [[0]], start
    for index in range(1, len(titles)):
        if widths[index] + frame > room and len(parts[-1]) > 1:
            parts.append([0])
            room = start
        parts[-1].append(index)
        room -= widths[index] + frame
    return parts, widths


def comparison_table(lines: Iterable[Comparison], a: str, b: str) -> Table:
    """The outcome of `compare` for the terminal."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=f"{a} minus {b} (positive: {a} is better)", title_style="bold", header_style="bold")
    texts = ("suite", "task", "over", "outcome")
    for title in ("suite", "task", "difference [95 %]", "over", "p", "pairs", "outcome"):
        shown.add_column(title, justify="left" if title in texts else "right", overflow="fold")
    styles = {"better": "green", "worse": "red", "not comparable": "dim"}
    lines = list(lines)
    notes = dict.fromkeys(line.note for line in lines if line.note)
    shown.caption = Text("\n".join([*notes, COMPARED]))
    for line in lines:
        cells = (line.suite, line.name, *_difference_texts(line))
        shown.add_row(*map(Text, cells), Text(_outcome_text(line), styles.get(line.outcome, "")))
    return shown


def _difference_texts(line: Comparison) -> tuple[str, ...]:
    """The interval and what it covers, p, and the pairs with those that were lost."""
    result = line.difference
    if result is None:
        return "–", "–", "–", "0"
    effect = f"{formatting.interval(result.estimate, line.unit)} {formatting.points(line.unit)}".strip()
    p = "–" if result.p is None else f"{formatting.p_value(result.p)} ({result.test})"
    pairs = f"{result.pairs}, {result.lost} lost" if result.lost else str(result.pairs)
    return effect, result.estimate.covers, p, pairs


def _outcome_text(line: Comparison) -> str:
    margin = line.difference.margin if line.difference else None
    words = formatting.outcome(line.outcome, margin, line.unit)
    return f"{words}: {line.reason}" if line.reason else words


def claims_table(findings: Iterable[Finding]) -> Table:
    """The verdicts of a study for the terminal."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(title="Claims", title_style="bold", header_style="bold", caption=STANDING)
    for title in ("claim", "statement", "verdict", "effect [95 %]", "seeds"):
        shown.add_column(title, justify="right" if title == "seeds" else "left", overflow="fold")
    styles = {"reproduced": "green", "refuted": "red", "undecided": "dim"}
    for finding in findings:
        claim, verdict = finding.claim, Text(verdict_of(finding), styles[finding.verdict])
        effect = Text("\n".join(effects(finding)))
        shown.add_row(Text(claim.id), Text(claim.statement), verdict, effect, Text(str(finding.seeds)))
    return shown


def _grid(table: SuiteTable, escape: Style = str, bold: Style = str) -> tuple[list[str], list[list[str]]]:
    titles = ["method", *map(column_title, table.columns), *map(average_title, table.averages)]
    titles += [*table.cost_titles, *table.training_titles]
    notes = footnotes(table)
    units = [c.unit for c in table.columns] + [a.columns[0].unit for a in table.averages]
    rows = []
    for line in table.lines:
        entries = zip((*line.entries, *line.averages), units, strict=True)
        texts = [(escape(entry_text(entry, unit, notes)), entry.best) for entry, unit in entries]
        scores = [bold(text) if best else text for text, best in texts]
        name = line.name if line.role in RIVALS else f"{line.name} ({line.role})"
        rows.append(
            [escape(visible(name)), *scores, *map(escape, [*cost_texts(line.costs), *training_texts(line.training)])]
        )
    return list(map(visible, titles)), rows


def _style(entry: Entry | None) -> str:
    if entry is None:
        return ""
    if entry.best:
        return "bold"
    return "" if entry.kind == "value" else "dim" if entry.kind in ("n/a", "missing") else "red"


def _pipe(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _arrow(column: Column) -> str:
    return "↑" if column.higher_is_better else "↓"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in text)
