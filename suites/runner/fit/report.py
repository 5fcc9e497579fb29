"""What a fit says in the end: the table, the recommendation, how sure it is."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean

from rich.table import Table

from sparsebench.reports.records.record import Record
from sparsebench.reports.statistics import Difference, difference
from sparsebench.reports.tables import formatting
from sparsebench.reports.tables.comparison import contrasts
from sparsebench.reports.tables.matrix import Matrix, Row
from sparsebench.reports.tables.suite_table import SuiteInfo

from ...prediction.several_columns import BY_COLUMN, OF_COLUMNS
from .about_table import MOST_NAMED, about_absent, about_one_class, about_refused, about_stereo, first
from .recommendation import Candidate, Recommendation
from .sources import OwnData


@dataclass(frozen=True)
class Line:
    """A row of the table, as texts."""

    row: str
    validation: str
    test: str
    outcome: str
    """Of the paired comparison with the baseline on the test part; of a baseline, that it is one."""
    difference: str
    operations: str


def lines_of(matrix: Matrix, info: SuiteInfo, candidates: Sequence[Candidate]) -> list[Line]:
    """A line for each row with all scores, the best by validation score first."""
    column = matrix.columns[0]
    compared = {contrast.row: contrast for contrast in contrasts(matrix, info)}
    places = {f"{row.label} · {row.backbone}": row for row in matrix.rows}
    ordered = sorted(candidates, key=lambda one: one.mean, reverse=column.higher_is_better)
    found = []
    for one in ordered:
        row = places[one.name]
        outcome = one.role
        shown = ""
        if row in compared:
            tested = compared[row].difference
            outcome = tested.outcome
            shown = formatting.interval(tested.estimate, column.unit)
        found.append(
            Line(
                row=one.name,
                validation=formatting.number(one.mean, column.unit),
                test=formatting.estimate(matrix.mean(row, [column]), column.unit),
                outcome=outcome,
                difference=shown,
                operations=formatting.count(one.price),
            )
        )
    return found


def to_rich(lines: Sequence[Line], matrix: Matrix, chosen: str) -> Table:
    """The lines for a terminal; the recommended row is bold."""
    column = matrix.columns[0]
    unit = formatting.shown_unit(column.unit)
    score = f"{column.metric} in {unit}" if column.unit == OF_COLUMNS else f"{column.metric} {unit}".strip()
    compared = "paired with the baseline on the same backbone, on the test part"
    caption = f"{score}; outcome and difference: {compared}; operations for an example"
    table = Table(caption=caption)
    for title in ("row", "val", "test", "outcome", "difference", "operations"):
        table.add_column(title, overflow="fold")
    for line in lines:
        table.add_row(*asdict(line).values(), style="bold" if line.row == chosen else None)
    return table


def differences_on_test(matrix: Matrix, found: Recommendation) -> dict[str, Difference]:
    """Chosen minus each other row on the test part, which chose nothing, corrected for their number."""
    column = matrix.columns[0]
    places = {f"{row.label} · {row.backbone}": row for row in matrix.rows}
    differences = {}
    for name in found.differences:
        pairings = matrix.paired(places[found.chosen.name], places[name], [column])
        differences[name] = difference(pairings, column.higher_is_better).corrected(len(found.differences))
    return differences


def sentences(found: Recommendation, matrix: Matrix, own: OwnData) -> list[str]:
    """The recommendation in words."""
    column = matrix.columns[0]
    unit = formatting.points(column.unit)
    seeds = len(found.chosen.validation.scores)
    said = [
        f"recommended: {found.chosen.name} ({found.sureness}: {found.reason})",
        f"chosen by {column.metric} on {found.examples} validation examples, {_seeds(found, seeds)}",
    ]
    if found.to_best is not None:
        shown = formatting.interval(found.to_best.estimate, column.unit)
        said.append(f"the best there is {found.best.name}; the recommended row is {shown} {unit}".rstrip() + " from it")
    row = _row(matrix, found.chosen)
    test = formatting.estimate(matrix.mean(row, [column]), column.unit)
    shown_unit = formatting.shown_unit(column.unit)
    test_line = (
        f"on {own.counts['test']} test examples, which chose nothing: {column.metric} {test} {shown_unit}".rstrip()
    )
    others = [
        f"{formatting.interval(one.estimate, column.unit)} {unit} against {name} ({one.outcome})".replace("  ", " ")
        for name, one in differences_on_test(matrix, found).items()
        if name == found.best.name or name.startswith("constant")
    ]
    said.append("; ".join([test_line, *others]))
    if column.unit == OF_COLUMNS:
        said.append(_by_column(matrix.cells[row, column], column.metric))
    if found.sureness == "cannot tell":
        examples = "conversations" if own.kind == "conversations" else "labelled examples"
        more = "more seeds (--seeds)" if found.lacks_seeds else f"more {examples}"
        among = f"of {len(found.tied)} not shown to be worse, the recommended one is {found.by_price}; "
        said.append(f"cannot tell which row is best: {among if len(found.tied) > 1 else ''}{more} would decide")
    return said


def _by_column(records: Sequence[Record], metric: str) -> str:
    """The unit of several columns in words, and the mean over seeds of each column's RMSE in its own unit."""
    alone = []
    for name in records[0].details[BY_COLUMN]:
        found = [record.details[BY_COLUMN][name]["rmse"] for record in records]
        known = [value for value in found if value is not None]
        alone.append(f"{name} {formatting.number(fmean(known)) if known else 'unknown'}")
    return f"{metric} is in {OF_COLUMNS}; on the test part, each in its own unit: {', '.join(alone)}"


def about_data(own: OwnData, backbones: Sequence[str] = ()) -> list[str]:
    """What the data are, what was left out of them, and what rows on these backbones do not see of them."""
    counts = ", ".join(f"{count} {part}" for part, count in own.counts.items())
    what = f"{own.goal} of {', '.join(own.columns.targets)}" if own.columns.targets else own.goal
    if own.classes:
        # By name: "Yes" and "yes" are two classes, which nobody would see in their number.
        names = ", ".join(own.classes[:MOST_NAMED])
        what = f"{len(own.classes)} classes ({names}{', ...' if len(own.classes) > MOST_NAMED else ''})"
    said = [f"{own.place}: {own.kind}, {what}, {counts}"]
    if own.rejected:
        named = first([f"{one.row}: {one.reason}" for one in own.rejected])
        said.append(f"{len(own.rejected)} rows are in no part: {named}")
    if own.conflicting:
        several = "1 molecule stands" if len(own.conflicting) == 1 else f"{len(own.conflicting)} molecules stand"
        kept = "all of them are used, those of one molecule in one part"
        said.append(f"{several} in several rows with different values; {kept}: {first(own.conflicting)}")
    said += about_absent(own.absent)
    if own.table is not None:
        said += about_one_class(own.table)
        if own.kind == "molecules":
            said += about_stereo(own.table, backbones)
            said += about_refused(own.table, backbones)
    return said


def _seeds(found: Recommendation, seeds: int) -> str:
    if found.chosen.validation.stochastic:
        return "one seed" if seeds == 1 else f"{seeds} seeds"
    return "one seed, which changes nothing of this row"


def _row(matrix: Matrix, chosen: Candidate) -> Row:
    return next(row for row in matrix.rows if (row.label, row.backbone) == (chosen.label, chosen.backbone))
