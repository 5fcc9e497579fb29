"""The records of a run beside the published figures of its table."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from sparsebench.reports.published.paper_tables import paper_tables, printed
from sparsebench.reports.published.side_by_side import SideBySide, alone, beside
from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.matrix import matrices

from ...planning.plan_file import planned_records, with_planned_seeds
from .chosen import Chosen
from .plan import plan_of


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
        for block in printed(table):
            name_of = partial(chosen.name_of, plan=plan, published=block.methods)
            found = beside(block, matrix, plan.columns, name_of, chosen.who)
            if not found.columns:  # a difference, say, of which ours are the terms
                found = alone(matrix, name_of, chosen.who)
            blocks.append(found)
        if not table.figures:
            blocks.append(alone(matrix, partial(chosen.name_of, plan=plan, published=()), chosen.who))
    return blocks
