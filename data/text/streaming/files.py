"""The files of a user's text: a folder for each domain, and their records one by one, from any place on.

| ending | a record is |
| --- | --- |
| `.txt` | a piece of about 64 kB that ends at a line's end; the whole file is one document |
| `.jsonl`, `.jsonl.gz` | the field of one line, a document |
| `.parquet` | the field of one row, a document |

No file is ever held in memory as a whole.
"""

import codecs
import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ...errors import TextFileError
from ...manifest import near

ENDINGS = (".txt", ".jsonl", ".jsonl.gz", ".parquet")
PIECE = 1 << 16
"""Bytes of a `.txt` file that are read at once, up to the end of their last line."""
ROWS = 256
"""Rows of a parquet file that are read at once."""


@dataclass(frozen=True)
class Record:
    """Some text of a file, its place and that of the next record, and whether a document opens and closes with it.

    Places are bytes of the (uncompressed) file, or rows of a parquet file.
    """

    text: str
    start: int
    end: int
    opens: bool = True
    closes: bool = True


def domain_files(folder: Path | str) -> dict[str, tuple[Path, ...]]:
    """The files of each domain, in order: the folders directly in ``folder`` are the domains, deeper ones their parts.

    Names that start with a dot do not count. Raises `TextFileError` where there is no domain, for a domain without
    files, and for a file that has another ending or lies in no domain.
    """
    root = Path(folder)
    if not root.is_dir():
        raise TextFileError(f"{str(folder)!r} is no folder; give one that has a folder of text files for each domain")
    found: dict[str, tuple[Path, ...]] = {}
    for entry in sorted(root.iterdir()):
        if entry.name.startswith("."):
            continue
        if not entry.is_dir():
            raise TextFileError(f"{entry} lies in no domain; move it into a folder named after its domain")
        found[entry.name] = _files_below(entry)
    if not found:
        raise TextFileError(f"{root} has no domain; make a folder of text files in it for each domain")
    return found


def records(file: Path, field: str, start: int = 0) -> Iterator[Record]:
    """The records of a file from a place on; ``field`` holds the text of a line or row.

    Raises `TextFileError`, which names file and place, for a file that cannot be read, bytes that are no UTF-8, a line
    that is no JSON object, and a field that is missing or no text.
    """
    try:
        if file.name.endswith(".parquet"):
            yield from _rows(file, field, start)
        elif file.name.endswith(".txt"):
            with file.open("rb") as stream:
                yield from _pieces(stream, file, start)
        else:
            with _open_lines(file) as stream:
                yield from _lines(stream, file, field, start)
    except (OSError, EOFError, zlib.error) as error:
        raise TextFileError(f"{file} cannot be read: {error}") from error


def _files_below(domain: Path) -> tuple[Path, ...]:
    files = []
    for file in sorted(domain.rglob("*")):
        hidden = any(part.startswith(".") for part in file.relative_to(domain).parts)
        if hidden or file.is_dir():
            continue
        if not file.name.endswith(ENDINGS):
            raise TextFileError(f"{file} has none of the endings {', '.join(ENDINGS)}; move it away or rename it")
        files.append(file)
    if not files:
        raise TextFileError(f"domain {domain.name!r} has no file in {domain}; add text files, or remove the folder")
    return tuple(files)


def _open_lines(file: Path) -> BinaryIO | gzip.GzipFile:
    if file.name.endswith(".gz"):
        return gzip.open(file, "rb")  # places in it are uncompressed: going to one reads all that lies before it
    return file.open("rb")


def _pieces(stream: BinaryIO, file: Path, start: int) -> Iterator[Record]:
    size = file.stat().st_size
    if not size and not start:
        yield Record("", 0, 1)  # ends beyond the file: who goes on from there does not read it again
    while start < size:
        stream.seek(start)
        content = stream.read(PIECE)
        content += stream.readline(PIECE)  # not without end: a file may be one line
        text, used = _decoded(content, file, start)
        if not start:
            text = text.removeprefix(codecs.BOM_UTF8.decode())
        yield Record(text, start, start + used, opens=not start, closes=start + used == size)
        start += used


def _decoded(content: bytes, file: Path, start: int) -> tuple[str, int]:
    """The text of all whole characters, and the number of their bytes."""
    try:
        text, used = codecs.utf_8_decode(content, "strict", False)
    except UnicodeDecodeError as error:
        raise TextFileError(f"{file}, byte {start + error.start}: this is not UTF-8; convert the file") from error
    if not used:
        raise TextFileError(f"{file}, byte {start}: the file ends inside a character; it is cut, or not UTF-8")
    return text, used


def _lines(stream: BinaryIO | gzip.GzipFile, file: Path, field: str, start: int) -> Iterator[Record]:
    stream.seek(start)
    for line in stream:
        end = start + len(line)
        if line.strip():
            yield Record(_field_of(line, field, f"{file}, byte {start}"), start, end)
        start = end


def _field_of(line: bytes, field: str, place: str) -> str:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:  # no JSON, no UTF-8, or lists within lists without end
        raise TextFileError(f"{place}: the line is no JSON: {error}") from error
    if not isinstance(row, Mapping):
        raise TextFileError(f"{place}: the line is a JSON {type(row).__name__}, not an object with fields")
    if field not in row:
        raise TextFileError(f"{place}: no field {field!r}{near(field, row)}")
    return _text(row[field], field, place)


def _rows(file: Path, field: str, start: int) -> Iterator[Record]:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(file) as table:
            columns = table.schema_arrow.names
            if field not in columns:
                raise TextFileError(f"{file}: no field {field!r}{near(field, columns)}")
            for row, value in _values(table, field, start):
                yield Record(_text(value, field, f"{file}, row {row}"), row, row + 1)
    except ArrowException as error:
        raise TextFileError(f"{file} is no parquet file that can be read: {error}") from error


def _values(table: Any, field: str, start: int) -> Iterator[tuple[int, Any]]:
    """Values from row ``start`` on with the numbers of their rows; groups of rows before it are not read."""
    row = 0
    for group in range(table.num_row_groups):
        end = row + table.metadata.row_group(group).num_rows
        if end <= start:
            row = end
            continue
        for batch in table.iter_batches(batch_size=ROWS, row_groups=[group], columns=[field]):
            skipped = min(max(start - row, 0), len(batch))
            yield from enumerate(batch.column(0).slice(skipped).to_pylist(), row + skipped)
            row += len(batch)


def _text(value: Any, field: str, place: str) -> str:
    if not isinstance(value, str):
        raise TextFileError(f"{place}: field {field!r} holds {type(value).__name__}, not text; name the field of text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise TextFileError(f"{place}: field {field!r} has half of a surrogate pair, which is no text") from None
    return value
