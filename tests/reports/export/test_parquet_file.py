"""The frame in a file, with its types."""

from pathlib import Path

import pandas
from pyarrow import parquet

from sparsebench.reports.export.parquet_file import export_parquet
from sparsebench.reports.tables.dataframe import to_frame


def test_the_file_is_the_frame_with_types(make, tmp_path: Path) -> None:
    records = [*make.realistic(), make.record(seed=2**70)]
    export = export_parquet(records, tmp_path / "out.parquet")
    read = pandas.read_parquet(export.path)
    frame = to_frame(records)
    assert export.files == {"rows": len(frame), "records": len(records)}
    assert export.left_out["seeds that no 64-bit number holds"] == 1
    alike = [found.drop(columns="seed").astype(object).fillna("missing") for found in (read, frame)]
    pandas.testing.assert_frame_equal(*alike)
    assert read["seed"][:-1].tolist() == frame["seed"][:-1].tolist() and pandas.isna(read["seed"].iloc[-1])
    schema = parquet.read_schema(export.path)
    types = {str(schema.field(name).type) for name in ("seed", "n", "params_total")}
    assert types == {"int64"} and str(schema.field("main").type) == "bool"
    assert {str(schema.field(name).type) for name in ("value", "stderr", "training_seconds")} == {"double"}
