"""Files that appear when they are whole, and a folder of parts from which a stopped run goes on."""

import csv
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from sparsebench.models.errors import ModelError

PLAN = "plan.json"


def check_new(out: Path, suffix: str) -> None:
    """Raise `ModelError` where a file cannot be made: another ending, no folder to lie in, or it is there."""
    if out.suffix.lower() != suffix:
        raise ModelError(f"{out}: the name must end in {suffix}")
    if out.exists():
        raise ModelError(f"{out} is there already: name a new file")
    if not out.resolve().parent.is_dir():
        raise ModelError(f"there is no folder {out.resolve().parent}")


@contextmanager
def csv_rows(out: Path, columns: Sequence[str]) -> Iterator[Any]:
    """A writer of rows, dictionaries by column; the file appears at the end, and not at all after an error."""
    partial = out.with_name(out.name + ".partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as lines:
            writer = csv.DictWriter(lines, columns)
            writer.writeheader()
            yield writer
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)


class Parts:
    """The folder beside `out`, called as that with `.parts` behind, with a parquet file for each part of the rows.

    `plan` says of what the parts are made. Raises `ModelError` where the folder is there and was made of something
    else.
    """

    def __init__(self, out: Path, plan: Mapping[str, Any]) -> None:
        self.out = out
        self.folder = out.with_name(out.name + ".parts")
        file = self.folder / PLAN
        text = json.dumps(plan, sort_keys=True)
        if self.folder.exists() and (not file.is_file() or file.read_text(encoding="utf-8") != text):
            raise ModelError(f"{self.folder} holds parts of another run: remove it, or name another file than {out}")
        self.folder.mkdir(exist_ok=True)
        try:
            _whole(file, lambda partial: partial.write_text(text, encoding="utf-8"))
        except OSError:
            if not any(self.folder.iterdir()):  # without its plan nobody could go on from it
                self.folder.rmdir()
            raise

    def __contains__(self, number: int) -> bool:
        return self._file(number).is_file()

    def write(self, number: int, rows: pa.Table) -> None:
        """Keep the rows of a part; its file appears when it is whole."""
        _whole(self._file(number), lambda partial: parquet.write_table(rows, partial))

    def join(self, count: int) -> Iterator[pa.Table]:
        """Put parts 0 to `count` - 1 together, a row group each, giving each once it is copied; then remove the folder.

        The file appears when the last one was taken.
        """
        partial = self.out.with_name(self.out.name + ".partial")
        try:
            with parquet.ParquetWriter(partial, parquet.read_schema(self._file(0))) as writer:
                for number in range(count):
                    rows = parquet.read_table(self._file(number))
                    writer.write_table(rows, row_group_size=max(1, len(rows)))
                    yield rows
            partial.replace(self.out)
        finally:
            partial.unlink(missing_ok=True)
        shutil.rmtree(self.folder)

    def _file(self, number: int) -> Path:
        return self.folder / f"{number:06d}.parquet"


def _whole(file: Path, write: Any) -> None:
    """Write a file beside itself and put it into its place; nothing stays of one that could not be written."""
    partial = file.with_name(file.name + ".partial")
    try:
        write(partial)
        partial.replace(file)
    finally:
        partial.unlink(missing_ok=True)
