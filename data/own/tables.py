"""A table of the user's in any of the forms that people keep them in, as columns of texts.

CSV and TSV (gzip too) and Parquet have a header. A SMI file has none: its columns are `smiles`, `column 2`, `column 3`.
An SDF file has the columns `molecule` (SMILES of the drawn structure), `name` and its properties.
"""

import csv
import gzip
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import TableError

if TYPE_CHECKING:
    import pandas as pd

MOLECULE = "molecule"
"""The column of an SDF file with its structures."""
SMILES = "smiles"
"""The first column of a SMI file."""
SUFFIXES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".parquet", ".smi", ".sdf")


@dataclass(frozen=True)
class Table:
    """Columns of texts of one length; a missing value is an empty text. `broken` are the rows without an input."""

    file: Path
    columns: Mapping[str, tuple[str, ...]]
    broken: Mapping[int, str] = field(default_factory=dict)
    """Row, from 0, to the reason why it could not be read."""

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
    if not file.is_file():
        raise TableError(f"there is no file {file}")
    if not is_table(file):
        raise TableError(f"{file}: a table ends in {', '.join(SUFFIXES)}")
    try:
        if name.endswith(".smi"):
            table = _smi(file)
        elif name.endswith(".sdf"):
            table = _sdf(file)
        else:
            table = Table(file, _texts(file, _frame(file, name)))
    except (ValueError, OSError, EOFError, csv.Error) as error:  # pandas' and pyarrow's are ValueError
        if isinstance(error, TableError):
            raise
        reason = " ".join(str(error).split()) or type(error).__name__
        raise TableError(f"{file} cannot be read as a table: {reason}") from None
    if not len(table):
        raise TableError(f"{file} has no row")
    return table


def _frame(file: Path, name: str) -> "pd.DataFrame":
    import pandas as pd

    if name.endswith(".parquet"):
        return pd.read_parquet(file)
    separator = "\t" if ".tsv" in name else ","
    with _opened(file) as lines, warnings.catch_warnings():
        # pandas would cut off what stands beyond the header, or take the first column for names of rows.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        try:
            return pd.read_csv(lines, sep=separator, dtype=str, keep_default_na=False, index_col=False)
        except pd.errors.ParserWarning:
            raise TableError(f"{file} cannot be read as a table: its rows have more fields than its header") from None


def _opened(file: Path) -> Any:
    """Through Python, which notes that the file is read."""
    if file.suffix == ".gz":
        return gzip.open(file, "rt", encoding="utf-8-sig", newline="")
    return file.open(encoding="utf-8-sig", newline="")


def _texts(file: Path, frame: "pd.DataFrame") -> dict[str, tuple[str, ...]]:
    """Each column as texts. Raises `TableError` where two have one name."""
    names = [str(name) for name in frame.columns]
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise TableError(f"{file} has two columns called {twice[0]!r}")
    known = frame.notna()
    found = {}
    for name, (_, values), (_, there) in zip(names, frame.items(), known.items(), strict=True):
        found[name] = tuple(str(value) if here else "" for value, here in zip(values, there, strict=True))
    return found


def _smi(file: Path) -> Table:
    rows = [line.split() for line in file.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    width = max(map(len, rows), default=0)
    names = [SMILES, *(f"column {number}" for number in range(2, width + 1))]
    return Table(file, _columns(names, [row + [""] * (width - len(row)) for row in rows]))


def _sdf(file: Path) -> Table:
    from rdkit import Chem, rdBase

    rows: list[dict[str, str]] = []
    broken = {}
    with rdBase.BlockLogs(), file.open("rb") as stream:
        for number, molecule in enumerate(Chem.ForwardSDMolSupplier(stream)):
            if molecule is None:
                broken[number] = "RDKit cannot read this record"
                rows.append({})
                continue
            properties = {name: str(value) for name, value in molecule.GetPropsAsDict().items()}
            title = molecule.GetProp("_Name") if molecule.HasProp("_Name") else ""
            rows.append({MOLECULE: Chem.MolToSmiles(molecule), "name": title} | properties)
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Table(file, _columns(names, [[row.get(name, "") for name in names] for row in rows]), broken)


def _columns(names: Sequence[str], rows: Sequence[Sequence[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(row[place] for row in rows) for place, name in enumerate(names)}
