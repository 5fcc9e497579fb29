"""What `export-results` does: the latest plan of each folder, in the form of others."""

import re
from collections.abc import Sequence
from pathlib import Path

from sparsebench.reports.export.every_eval_ever import export_every_eval_ever
from sparsebench.reports.export.hub_results import export_hub
from sparsebench.reports.export.parquet_file import export_parquet
from sparsebench.reports.export.written import Export

from ..errors import UsageError, near
from .readings import open_readings

FORMS = ("parquet", "hub", "every-eval-ever")
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)


def export(folders: Sequence[Path], form: str, out: Path, dataset: str | None = None) -> Export:
    """Write the records of the latest plan of each folder in another form.

    Args:
        folders: result folders; a record that two of them have counts once.
        form: one of `FORMS`.
        out: the file or folder to make.
        dataset: for "hub", the data set of the benchmark there.

    Returns:
        What was written, what the form cannot say, and the files of the folders that could not be read.

    Raises:
        UsageError: another form, a data set that is no "owner/name" or of another form, a folder without records.
        StoreError: a folder without results, or `out` is there already or cannot be written.
    """
    if form not in FORMS:
        raise UsageError(f"unknown form {form!r}{near(form, FORMS)}")
    if dataset is not None and form != "hub":
        raise UsageError(f"--dataset says where the hub keeps a benchmark: it goes with --to hub, not {form}")
    if dataset is not None and not _REPOSITORY.fullmatch(dataset):
        raise UsageError(f"--dataset {dataset}: must be OWNER/NAME, as the hub names a data set")
    with open_readings(folders) as reading:
        if form == "parquet":
            found = export_parquet(reading.records, out)
        elif form == "hub":
            found = export_hub(reading.records, out, dataset, reading.examples)
        else:
            found = export_every_eval_ever(reading.records, out, reading.examples)
        if reading.problems:
            found.left_out["files that were skipped"] = len(reading.problems)
        if reading.examples.problems:
            found.left_out["files of outcomes that cannot be read"] = len(reading.examples.problems)
    return found
