"""Per-example outcomes as rows of a table: one for each column of a record, with its values in a list.

Numbers stand as float32, which is how they were rounded when they were kept. What a list of numbers or of texts does
not say exactly (lists in lists, whole numbers beyond 2²⁴, mixtures) stands as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from .visible import is_text

if TYPE_CHECKING:
    import pyarrow

COLUMNS = ("column", "kind", "numbers", "texts", "json")
"""A row: the name of the column, how to read its values, and the values in one of three ways."""
Row = tuple[str | None, str, list[Any] | None, list[str] | None, str | None]
EMPTY: Row = (None, "none", None, None, None)
"""Stands for outcomes without any column, which are other than none."""
MOST_WHOLE = 2**24
"""Float32 holds every whole number up to this one."""


def to_row(name: str, values: Sequence[Any]) -> Row:
    """The row of one column, in the form that people can use best of those that restore it exactly."""
    import pyarrow

    values = list(values)
    kinds = {type(value) for value in values}
    if kinds <= {int} and all(abs(value) <= MOST_WHOLE for value in values):
        return name, "int", values, None, None
    if kinds == {float} and is_same(restore_floats(pyarrow.array(values, pyarrow.float32())), values):
        return name, "float", values, None, None
    if kinds == {str} and all(map(is_text, values)):
        return name, "text", None, values, None
    return name, "json", None, None, json.dumps(values, separators=(",", ":"))


def to_columns(rows: Iterable[Sequence[Any]]) -> dict[str, list[Any]]:
    """What `to_row` was given, from all rows of a record as Parquet gives them, in Arrow's scalars.

    Raises:
        ArithmeticError, AttributeError, KeyError, RecursionError, TypeError, ValueError: for rows that it never made.
    """
    found = {}
    for column, kind, *forms in rows:
        name = column.as_py()
        if (name, kind.as_py()) == EMPTY[:2]:
            continue
        values = _READ[kind.as_py()](*forms)
        if not isinstance(name, str) or not isinstance(values, list):
            raise ValueError(f"column {name!r} of kind {kind} has no values")
        found[name] = values
    return found


def is_same(one: Any, other: Any) -> bool:
    """Whether values are equal bit by bit, and of the same types, in the same order: 1 is not 1.0, nor 0.0 -0.0."""
    return repr(one) == repr(other)


def restore_floats(numbers: pyarrow.FloatArray) -> list[float]:
    """Numbers as they were kept: those in the fewest digits that say which float32 it is."""
    import pyarrow

    return numbers.cast(pyarrow.string()).cast(pyarrow.float64()).to_numpy(zero_copy_only=False).tolist()


def _restore_whole(numbers: pyarrow.FloatArray) -> list[int]:
    values = numbers.to_numpy(zero_copy_only=False)
    if not (abs(values) <= MOST_WHOLE).all():  # not a number, neither
        raise ValueError(f"whole numbers beyond {MOST_WHOLE}")
    return values.astype(int).tolist()


_READ = {
    "int": lambda numbers, texts, json_: _restore_whole(numbers.values),
    "float": lambda numbers, texts, json_: restore_floats(numbers.values),
    "text": lambda numbers, texts, json_: texts.as_py(),
    "json": lambda numbers, texts, json_: json.loads(json_.as_py()),
}
"""Kind to what restores the values from the three forms."""
