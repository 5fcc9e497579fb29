"""The records of a run beside the published figures of its table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sparsebench.reports.published.paper_tables import paper_tables, printed
from sparsebench.reports.published.side_by_side import alone, beside
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.matrix import Matrix, Row, matrices
from sparsebench.reports.tables.published import SideBySide

from ...planning.plan_file import planned_records, with_planned_seeds
from .chosen import ANOTHER, OURS, Chosen
from .plan import Plan, plan_of, plans


def compare_folder(name: str, chosen: Chosen, folder: Path) -> list[SideBySide]:
    """One block for each source of the table, or one of ours alone where its figures are unknown.

    Args:
        name: the table.
        chosen: what ran.
        folder: the result folder.

    Returns:
        The blocks; none where no record has a score.

    Raises:
        StoreError: it is no result folder.
    """
    table = paper_tables()[name]
    plan = plan_of(name)
    store = Store(folder).open()
    with Index(store) as index:
        records = with_planned_seeds(index.records(planned_records(index.entries, folder)), folder)
    scored = [record for record in records if record.status == "ok"]
    blocks = []
    for matrix in matrices(scored, ExampleReader(store.read_examples)):
        who_of = partial(whose, matrix=matrix, plan=plan, who=chosen.who)
        for block in printed(table):
            names = [line.name for line in block.lines]
            name_of = partial(chosen.name_of, plan=plan, published=names)
            found = beside(block, matrix, plan.columns, name_of, who_of)
            if found.columns:
                blocks.append(found)
            else:  # a difference, say, of which ours are the terms
                blocks += [block, alone(matrix, name_of, who_of)]
        if not table.figures:
            blocks.append(alone(matrix, partial(chosen.name_of, plan=plan, published=()), who_of))
    return blocks


def whose(row: Row, matrix: Matrix, plan: Plan, who: str) -> str:
    """Whose a row is: as `who` says, unless it is of a size that no model of the plan has.

    Args:
        row: of ours.
        matrix: its records, which say how many parameters there are.
        plan: of the table. What it compresses or adds is less than a factor of two.
        who: "ours" or "stand-in".

    Returns:
        `who`, or "another model" in the place of "ours".
    """
    size = matrix.cost(row, lambda costs: costs.params_total)
    totals = [plans().models[work.model].total for work in plan.work]
    if who == OURS and size is not None and not any(total / 2 < size < 2 * total for total in totals):
        return ANOTHER
    return who
