"""A table of the user's in any of the forms that people keep them in, as columns of texts.

CSV and TSV and Parquet have a header. A CSV file whose header has semicolons or tabs and no comma, as spreadsheets
write it, is separated by these; a blank line of a table with one column is a row without a value. The index that pandas
writes into Parquet is a column like others where it has a name, and no column else. A SMI file may have a header that
begins with "smiles"; without, its columns are `smiles`, `column 2`, `column 3`. An SDF file has the columns `molecule`
(SMILES of the drawn structure), `name` and its properties, as texts; a property of one of these two names is in the
column `molecule (property)` or `name (property)`. Texts may be packed by gzip.
"""

import csv
import gzip
import io
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TableError, reason_of

if TYPE_CHECKING:
    import pandas as pd

MOLECULE = "molecule"
"""The column of an SDF file with its structures."""
SMILES = "smiles"
"""The first column of a SMI file."""
SMI_SUFFIXES = (".smi", ".smi.gz")
SDF_SUFFIXES = (".sdf", ".sdf.gz")
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", *SMI_SUFFIXES, *SDF_SUFFIXES)

SDF_END = b"$$$$"
"""The line that ends a record of an SDF file, or its beginning."""
INDEX = "index"
"""What a frame notes its columns under that were its index."""
UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
"""What pandas calls an index without a name in a Parquet file."""

LONGEST = 2**31 - 1
"""Characters of a text; Python's reader stops at 131,072 else."""


@dataclass(frozen=True)
class Table:
    """Columns of texts of one length; a missing value is an empty text. `broken` are the rows without an input.

    `index`: columns that were the index of a frame, which are not predicted unless they are named.
    """

    file: Path
    columns: Mapping[str, tuple[str, ...]]
    broken: Mapping[int, str] = field(default_factory=dict)
    """Row, from 0, to the reason why it could not be read."""
    index: tuple[str, ...] = ()

    def __len__(self) -> int:
        return max(map(len, self.columns.values()), default=0)


def is_table(file: Path) -> bool:
    """Whether the name ends as that of a table does."""
    return file.name.lower().endswith(SUFFIXES)


def read_table(file: Path) -> Table:
    """All rows of a table.

    Args:
        file: its name says the form.

    Returns:
        The table, with one row at least.

    Raises:
        TableError: no such file, an unknown ending, a file that cannot be read, no row.
    """
    name = file.name.lower()
    check_is_table(file, SUFFIXES)
    with one_line(file):
        if name.endswith(SMI_SUFFIXES):
            names, rows = smi_rows(file)
            table = smi_table(file, names, list(rows))
        elif name.endswith(SDF_SUFFIXES):
            table = sdf_table(file, sdf_records(file))
        else:
            table = frame_table(file, _frame(file, name))
    if not len(table):
        raise TableError(f"{file} has no row")
    return table


def check_is_table(file: Path, suffixes: Sequence[str]) -> None:
    """Raise `TableError` where there is no such file, or its name ends in none of the suffixes."""
    if not file.is_file():
        raise TableError(f"there is no file {file}")
    if not file.name.lower().endswith(tuple(suffixes)):
        raise TableError(f"{file}: a table ends in {', '.join(suffixes)}")


@contextmanager
def one_line(file: Path) -> Iterator[None]:
    """What goes wrong in a file while it is read, as a `TableError` of one line."""
    try:
        yield
    except (ValueError, OSError, EOFError, csv.Error) as error:  # pandas' and pyarrow's are ValueError
        if isinstance(error, TableError):
            raise
        raise TableError(f"{file} cannot be read as a table: {reason_of(error)}") from None


def _frame(file: Path, name: str) -> "pd.DataFrame":
    import pandas as pd

    if name.endswith(".parquet"):
        from pyarrow import parquet

        with parquet.ParquetFile(file) as stored:
            return parquet_frame(stored.read())
    form = csv_form(file)
    _check_quotes(file, form["sep"])
    with opened(file) as lines:
        return pd.read_csv(lines, **form)


def parquet_frame(rows: Any) -> "pd.DataFrame":
    """A table or a batch of Arrow with every column that has a name, and integers as such where some are missing."""
    frame = rows.to_pandas(ignore_metadata=True, integer_object_nulls=True)
    unnamed = [name for name in frame.columns if UNNAMED_INDEX.fullmatch(str(name))]
    index = (rows.schema.pandas_metadata or {}).get("index_columns", [])
    frame.attrs[INDEX] = tuple(name for name in frame.columns if name in index and name not in unnamed)
    return frame.drop(columns=unnamed)


def csv_form(file: Path) -> dict[str, Any]:
    """How pandas reads a table of texts as it stands: every value a text, "NA" too, and every row of one column.

    Args:
        file: a CSV or TSV file.

    Returns:
        Options of `pandas.read_csv`.

    Raises:
        TableError: two columns have one name; pandas renames the second.
    """
    with opened(file) as lines:
        blanks, header = next(((number, line) for number, line in enumerate(lines) if line.strip()), (0, ""))
        separator = "\t" if ".tsv" in file.name.lower() else _separator(header)
        # A name in quotes may go on in the next line.
        _check_names(file, next(csv.reader(itertools.chain([header], lines), delimiter=separator)))
    form: dict[str, Any] = {"sep": separator, "dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"}
    if separator not in header:
        # In a table of one column a blank line is a row without a value, and not to count it would move those below.
        form |= {"skip_blank_lines": False, "skiprows": blanks}
    return form


def _check_quotes(file: Path, separator: str) -> None:
    """Refuse a quoted text of several lines that ends in the middle of another: it would swallow the rows between.

    Two texts begin with a quotation mark of their own then, and the second is taken for the end of the first.
    """
    limit = csv.field_size_limit(LONGEST)
    try:
        with opened(file) as lines:
            rows = csv.reader(lines, delimiter=separator, strict=True)
            while True:
                first = rows.line_num + 1
                try:
                    next(rows)
                except StopIteration:
                    return
                except csv.Error:
                    # In one line pandas takes the mark as it stands, and no row is lost.
                    if rows.line_num > first:
                        where = f"the quoted text that begins in line {first} goes on to line {rows.line_num}"
                        raise TableError(
                            f'{file}: {where} and does not end there: write "" for a " of a text'
                        ) from None
    finally:
        csv.field_size_limit(limit)


def _separator(header: str) -> str:
    """The comma, unless a header without one has semicolons or tabs outside of its quotes."""
    bare = "".join(header.split('"')[::2])
    if "," in bare:
        return ","
    return max(",;\t", key=bare.count)


def opened(file: Path) -> Any:
    """A file of texts, packed or not, through Python, which notes that the file is read."""
    if file.suffix.lower() == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def frame_table(file: Path, frame: "pd.DataFrame") -> Table:
    """The table of a frame or of some of its rows. Raises `TableError` as `frame_texts`."""
    return Table(file, frame_texts(file, frame), index=frame.attrs.get(INDEX, ()))


def frame_texts(file: Path, frame: "pd.DataFrame") -> dict[str, tuple[str, ...]]:
    """Each column as texts. Raises `TableError` where two have one name, and where rows are wider than the header."""
    import pandas as pd

    if file.suffix.lower() != ".parquet" and not isinstance(frame.index, pd.RangeIndex):
        raise TableError(f"{file} cannot be read as a table: its rows have more fields than its header")
    names = [str(name) for name in frame.columns]
    _check_names(file, names)
    known = frame.notna()
    found = {}
    for name, (_, values), (_, there) in zip(names, frame.items(), known.items(), strict=True):
        found[name] = tuple(str(value) if here else "" for value, here in zip(values, there, strict=True))
    return found


def _check_names(file: Path, names: Sequence[str]) -> None:
    twice = [name for name in dict.fromkeys(names) if name and names.count(name) > 1]
    if twice:
        raise TableError(f"{file} has two columns called {twice[0]!r}")


def smi_rows(file: Path) -> tuple[list[str], Iterator[list[str]]]:
    """The names in its header, none without one, and the words of each line that has some."""
    rows = _words_of_lines(file)
    first = next(rows, None)
    if first is not None and first[0].lower() == SMILES:
        return first, rows
    return [], itertools.chain([] if first is None else [first], rows)


def _words_of_lines(file: Path) -> Iterator[list[str]]:
    with opened(file) as lines:
        for line in lines:
            # A name may have blanks in it where columns are apart by tabs.
            words = [word.strip() for word in line.rstrip("\r\n").split("\t")] if "\t" in line else line.split()
            if any(words):
                yield words


def smi_table(file: Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """The table of some of the rows of a SMI file. Raises `TableError` where two columns have one name."""
    _check_names(file, header)
    width = max(map(len, [header, *rows]))
    names = [*(header or [SMILES]), *(f"column {number}" for number in range(len(header or [SMILES]) + 1, width + 1))]
    return Table(file, _columns(names, [[*row, *[""] * (len(names) - len(row))] for row in rows]))


def sdf_records(file: Path) -> Iterator[dict[str, str] | None]:
    """Molecule, name and properties of each record; None for one that RDKit cannot read."""
    with gzip.open(file, "rb") if file.suffix.lower() == ".gz" else file.open("rb") as stream:
        for record in _cut(stream):
            yield _sdf_record(record)


def _cut(stream: Iterable[bytes]) -> Iterator[bytes]:
    """The text of each record without the line that ends it: RDKit goes on in the middle of one that it cannot read."""
    lines: list[bytes] = []
    for line in stream:
        whole = line.rstrip() == SDF_END
        # With more in the line it may be a value, or the title of a molecule.
        if whole or (line.startswith(SDF_END) and lines and lines[-1].rstrip() in (b"", b"M  END")):
            yield b"".join(lines)
            lines = []
        else:
            lines.append(line)
    rest = b"".join(lines)
    if rest.strip():
        yield rest


def _sdf_record(record: bytes) -> dict[str, str] | None:
    from rdkit import Chem, rdBase

    # The blank line before the end is where the last property ends.
    whole = record.rstrip(b"\r\n") + b"\n\n" + SDF_END + b"\n"
    with rdBase.BlockLogs():
        molecule: Any = next(iter(Chem.ForwardSDMolSupplier(io.BytesIO(whole))), None)
    if molecule is None:
        return None
    found = {
        MOLECULE: Chem.MolToSmiles(molecule),
        "name": molecule.GetProp("_Name") if molecule.HasProp("_Name") else "",
    }
    # As texts: to numbers, "007" would be 7 and "1e5" 100000.0.
    properties = molecule.GetPropsAsDict(autoConvertStrings=False)
    for name in sorted(properties, key=lambda name: name in (MOLECULE, "name")):  # these two last: they give way
        free = name
        while free in found:
            free = f"{free} (property)"
        found[free] = properties[name]
    return found


def sdf_table(file: Path, records: Iterable[dict[str, str] | None]) -> Table:
    """The table of some of the records of an SDF file; those that cannot be read are broken rows."""
    found = list(records)
    broken = {number: "RDKit cannot read this record" for number, row in enumerate(found) if row is None}
    rows = [row or {} for row in found]
    names = list(dict.fromkeys([MOLECULE, "name", *(name for row in rows for name in row)]))
    return Table(file, _columns(names, [[row.get(name, "") for name in names] for row in rows]), broken)


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(row[place] for row in rows) for place, name in enumerate(names)}
