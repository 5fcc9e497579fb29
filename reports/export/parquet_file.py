"""All scores as one Parquet file: the frame of `to_frame` with typed columns."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..records.record import Record
from ..tables.dataframe import COLUMNS, all_rows
from ..tables.parquet_bytes import to_parquet
from .written import Export, staged


def export_parquet(records: Sequence[Record], out: Path) -> Export:
    """Write one row for each record and metric, and one for a record without a score.

    Args:
        records: whole or slim ones.
        out: the file to make.

    Returns:
        What was written. Seeds beyond 64 bits are missing, and counted.

    Raises:
        StoreError: `out` is there already or cannot be written; nothing is left of it.

    Example: `pandas.read_parquet(out).query("main").groupby(["task", "label"])["value"].mean()`.
    """
    export = Export(out)
    rows = list(all_rows(records))
    with staged(out) as stage:
        stage.write_bytes(to_parquet(COLUMNS, rows))
    export.files.update(rows=len(rows), records=len(records))
    export.left_out += Counter(
        {
            "seeds that no 64-bit number holds": sum(abs(record.cell.seed) >= 2**63 for record in records),
            "records' curves and details": sum(bool(record.details or record.curves) for record in records),
        }
    )
    return export
