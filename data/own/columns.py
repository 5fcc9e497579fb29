"""Which column of a table is the input, which ones are to be predicted, which one says the part.

What is not said is guessed only where one column alone can be meant; otherwise one line asks for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..errors import TableError
from ..labelled.dealt import is_split
from ..manifest import near
from .tables import MOLECULE, SMILES, Table
from .values import are_numbers

Kind = Literal["text", "molecules"]
"""What the inputs of a table are."""
INPUT_NAMES = {
    "text": ("text", "sentence", "message", "review", "document", "content", "question"),
    "molecules": (SMILES, MOLECULE, "canonical_smiles", "canonicalsmiles", "isomeric_smiles", "structure"),
}
LABEL_NAMES = ("label", "class", "category", "target", "y")
SPLIT_NAMES = ("split", "part", "subset")
NO_TARGETS = ("id", "index", "name", "cid", "row", "unnamed: 0", "inchi", "inchikey")
"""Columns that name a row and say nothing of it."""


@dataclass(frozen=True)
class Columns:
    """The names of the columns; `split` is empty where the rows are to be dealt out."""

    input: str
    targets: tuple[str, ...]
    split: str = ""


def choose_columns(table: Table, kind: Kind, given: Columns) -> Columns:
    """The columns that are meant.

    Args:
        table: with all columns.
        kind: what its inputs are.
        given: what was said; empty names are guessed.

    Returns:
        All names filled, but for `split` where there is none.

    Raises:
        TableError: an unknown name, one column for two things, or more than one column that can be meant.
    """
    check_named(table, given.input, *given.targets, given.split)
    split = given.split or split_column(table, given)
    source = given.input or input_column(table, kind, (*given.targets, split))
    targets = given.targets or _targets(table, kind, (source, split))
    used = [source, *targets, *([split] if split else [])]
    for name in used:
        if used.count(name) > 1:
            raise TableError(f"{table.file}: the column {name!r} cannot be two things at once")
    return Columns(source, targets, split)


def input_column(table: Table, kind: Kind, taken: Sequence[str] = ()) -> str:
    """The column of the inputs, where one alone can be meant. Raises `TableError`."""
    free = [name for name in table.columns if name not in taken]
    named = known_inputs(free, kind)
    if named:
        return named[0]
    if kind == "text":
        free = [name for name in free if name.lower() not in (*LABEL_NAMES, *NO_TARGETS) and name not in table.index]
        if len(free) == 1:
            return free[0]
    option = "--text" if kind == "text" else "--smiles"
    raise TableError(f"{table.file}: which column has the {_words(kind)}? Say {option} with one of {_listed(free)}")


def known_inputs(names: Sequence[str], kind: Kind) -> list[str]:
    """Those of the names that columns of inputs have, the likeliest first."""
    return [name for known in INPUT_NAMES[kind] for name in names if name.lower() == known]


def _targets(table: Table, kind: Kind, taken: Sequence[str]) -> tuple[str, ...]:
    free = [name for name in table.columns if name not in (*taken, *table.index) and name.lower() not in NO_TARGETS]
    named = [name for name in free if name.lower() in LABEL_NAMES]
    if len(named) == 1:
        return tuple(named)
    if kind == "molecules":
        numeric = [name for name in free if are_numbers(table.columns[name])]
        if len(numeric) == 1:
            return tuple(numeric)
    if len(free) == 1:
        return tuple(free)
    option = "--label" if kind == "text" else "--target (once for each)"
    if not free:
        raise TableError(f"{table.file} has no column to predict: there is only {_listed(taken)}")
    raise TableError(f"{table.file}: which column is to be predicted? Say {option} with one of {_listed(free)}")


def check_named(table: Table, *names: str) -> None:
    """Raise a `TableError` for a name, if it is not empty, that no column has."""
    for name in names:
        if name and name not in table.columns:
            raise TableError(f"{table.file} has no column {name!r}{near(name, table.columns)}")


def split_column(table: Table, given: Columns) -> str:
    """A column that is called so and names parts in most rows, and is none of those given; "" for none."""
    for name, values in table.columns.items():
        called_so = name.lower() in SPLIT_NAMES and name not in (given.input, *given.targets)
        if called_so and is_split(values):
            return name
    return ""


def _words(kind: Kind) -> str:
    return "texts" if kind == "text" else "SMILES"


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(repr, [name for name in names if name][:12])) or "no other column"
