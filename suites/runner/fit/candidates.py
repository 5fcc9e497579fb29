"""The rows of a fit from its records."""

from collections.abc import Mapping, Sequence
from functools import partial

from sparsebench.reports.records.record import Record
from sparsebench.reports.statistics import Score, Side, example_scores
from sparsebench.reports.tables.matrix import Matrix, Row, matrices, trials_of
from sparsebench.reports.tables.suite_table import SuiteInfo

from ..discovery.registry import suite
from .recommendation import Candidate

OF_VALIDATION = "val "


def matrix_of(records: Sequence[Record], roles: Mapping[str, str], suite: str) -> Matrix:
    """The records of the one task of a fit as the rows of a table."""
    (matrix,) = matrices(records, roles={suite: roles})
    return matrix


def suite_info(name: str) -> SuiteInfo:
    """How tables of a suite are made; roles are those that the profile `fit` gives its rows."""
    about = suite(name)
    return SuiteInfo(
        title=about.title,
        description=about.description,
        baseline=about.baseline,
        unit=about.unit,
        group_baselines=about.group_baselines,
        margins=about.margins,
    )


def candidates_of(matrix: Matrix, info: SuiteInfo) -> tuple[list[Candidate], dict[str, str]]:
    """Rows with a score for every planned seed; the other rows, and what became of them.

    Args:
        matrix: rows with whole records.
        info: of the suite, for the roles.

    Returns:
        The rows, and by the name of each row that is left out the reason.
    """
    found = []
    left_out = {}
    for row in matrix.rows:
        records = matrix.cells[row, matrix.columns[0]]
        problem = _problem(records)
        if problem:
            left_out[f"{row.label} · {row.backbone}"] = problem
            continue
        found.append(
            Candidate(
                label=row.label,
                backbone=row.backbone,
                role=info.role(matrix, row),
                validation=_side(records),
                price=_price(matrix, row),
            )
        )
    return found, left_out


def _problem(records: Sequence[Record]) -> str:
    """Why a row has not all of its scores, or nothing."""
    for record in records:
        if record.status != "ok":
            return f"{record.status}: {record.reason}"
    planned = max(record.seeds.get("planned", 1) for record in records)
    if len(records) < planned:
        return f"{len(records)} of {planned} seeds have a record"
    return ""


def _side(records: Sequence[Record]) -> Side:
    planned = max(record.seeds.get("planned", 1) for record in records)
    stochastic = any(record.seeds.get("stochastic", 0) for record in records)
    return Side({record.cell.seed: _score(record) for record in records}, planned, stochastic)


def _score(record: Record) -> Score:
    """The score of the chosen trial on the validation part, with what each example contributes to it."""
    assert record.main_metric is not None
    metric = record.metrics[f"{OF_VALIDATION}{record.main_metric}"]
    read = partial(example_scores, record.main_metric, metric.value, record.details["validation"])
    return Score(metric.value, metric.stderr, trials_of(metric), read)


def _price(matrix: Matrix, row: Row) -> float:
    """Operations for an example; the numbers of the model where they are more, since trees only compare."""
    flops = matrix.cost(row, lambda costs: costs.flops)
    parameters = matrix.cost(row, lambda costs: costs.params_total)
    return max(flops or 0.0, parameters or 0.0)
