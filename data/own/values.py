"""What the values of a column say is to be predicted: numbers, yes or no, or a class."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from ..errors import TableError

if TYPE_CHECKING:
    import numpy as np

Goal = Literal["regression", "multilabel", "classification"]
MISSING = ("", "nan", "na", "n/a", "null", "none")
"""Texts that say that nobody knows the value, in any case."""
NUMERIC = 0.9
"""Fraction of the known values that must be numbers, so that a column counts as one of numbers with some bad rows."""
LARGEST = (2 - 2**-23) * 2.0**127
"""The largest number of 32 bits: one above is infinite to a model, and every other value unknown beside it."""
ROUNDED = 2.0**-24
"""How far, relative to it, a number of 32 bits may be from what it stands for."""
COARSE = 0.01
"""Rounding, in standard deviations of a column, above which its scores would be those of the rounding."""
MIXED = 0.1
"""Fraction of numbers above which a column of names counts as mixed."""
DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+(e[+-]?\d+)?", re.IGNORECASE)
QUALIFIED = re.compile(r"[<>~=≤≥≈]*\s*[+-]?\d+([.,]\d+)?(e[+-]?\d+)?\s*\D*", re.IGNORECASE)
"""A number with a sign before it or a unit behind it: "<5", "1.2 mg/L"."""


@dataclass(frozen=True, eq=False)
class Targets:
    """What is to be predicted of N rows: `values` is int64 (N,) class numbers, or float64 (N, T) with NaN for unknown.

    `classes` are the names of the classes; `bad` says of a row, from 0, why it has no target at all.
    """

    goal: Goal
    values: "np.ndarray"
    classes: tuple[str, ...]
    bad: Mapping[int, str]


def are_numbers(values: Sequence[str]) -> bool:
    """Whether there are known values, and nearly all of them are numbers."""
    known = [value for value in values if not is_missing(value)]
    numbers = sum(_number(value) is not None for value in known)
    return bool(known) and numbers >= NUMERIC * len(known)


def is_missing(value: str) -> bool:
    """Whether a value says that it is unknown."""
    return value.strip().lower() in MISSING


def read_classes(column: Sequence[str], where: str) -> Targets:
    """Each different text is a class, in alphabetical order; whole numbers in the order of their size.

    Args:
        column: the texts.
        where: what a message begins with.

    Returns:
        The classes of the rows that have one.

    Raises:
        TableError: one class only, or numbers with a fraction, which are no classes.
    """
    _check_not_written_numbers([value.strip() for value in column if not is_missing(value)], where)
    return _classes(column, where)


def _classes(column: Sequence[str], where: str) -> Targets:
    import numpy as np

    texts = [value.strip() for value in column]
    bad = {row: "no label" for row, value in enumerate(texts) if is_missing(value)}
    names = {value for row, value in enumerate(texts) if row not in bad}
    numbers = {name: _number(name) for name in names}
    if len(names) < 2:
        raise TableError(f"{where} has {len(names)} class: {', '.join(sorted(names)) or 'no label'}; two are needed")
    whole = all(number is not None and number.is_integer() for number in numbers.values())
    if not whole and all(number is not None for number in numbers.values()):
        raise TableError(f"{where} holds numbers with a fraction, which are no classes: name a column of classes")
    classes = tuple(sorted(names, key=lambda name: (numbers[name] or 0.0 if whole else 0.0, name)))
    place = {name: number for number, name in enumerate(classes)}
    values = np.array([place.get(value, 0) for value in texts], dtype=np.int64)
    return Targets("classification", values, classes, bad)


def read_properties(columns: Mapping[str, Sequence[str]], where: str) -> Targets:
    """Numbers are regressed; 0 and 1 alone are yes or no; one column of names is a class.

    Args:
        columns: by name, all of one kind.
        where: what a message begins with.

    Returns:
        The targets.

    Raises:
        TableError: columns of different kinds, a column of numbers and names, a column with one value only, large
            numbers that differ by very little.
    """
    import numpy as np

    kinds: dict[str, Goal] = {name: _kind(values, f"{where}, column {name!r}") for name, values in columns.items()}
    if len(set(kinds.values())) > 1:
        said = ", ".join(f"{name!r} is {kind}" for name, kind in kinds.items())
        raise TableError(f"{where}: the columns to predict are of different kinds ({said}): fit them one by one")
    goal: Goal = next(iter(kinds.values()))
    if goal == "classification":
        if len(columns) > 1:
            raise TableError(f"{where}: several columns of classes cannot be predicted together: fit them one by one")
        name, values = next(iter(columns.items()))
        return _classes(values, f"{where}, column {name!r}")
    matrix = np.array([[_value(value) for value in column] for column in columns.values()], dtype=np.float64).T
    if goal == "regression":
        for name, column in zip(columns, matrix.T, strict=True):
            _check_kept_apart(column, f"{where}, column {name!r}")
    bad = {}
    for row, values in enumerate(zip(*columns.values(), strict=True)):
        wrong = [value for value in values if not is_missing(value) and _number(value) is None]
        if wrong:
            bad[row] = f"{wrong[0]!r} is no finite number of 32 bits"
        elif np.isnan(matrix[row]).all():
            bad[row] = "no value"
    return Targets(goal, matrix, (), bad)


def _kind(values: Sequence[str], where: str) -> Goal:
    known = [value.strip() for value in values if not is_missing(value)]
    if not known:
        raise TableError(f"{where} has no value")
    numbers = [number for number in map(_number, known) if number is not None]
    if are_numbers(known):
        if len(set(numbers)) < 2:
            raise TableError(f"{where} has one value only ({known[0]}): there is nothing to predict")
        return "multilabel" if set(numbers) == {0.0, 1.0} else "regression"
    _check_not_written_numbers(known, where)
    if len(numbers) > MIXED * len(known):
        name = next(value for value in known if _number(value) is None)
        counted = f"{len(numbers)} of {len(known)} values are numbers, {name!r} is none"
        raise TableError(f"{where} mixes numbers and names ({counted})")
    return "classification"


def _check_kept_apart(column: "np.ndarray", where: str) -> None:
    """Raise `TableError` for numbers that differ by less than 32 bits keep of numbers so large, as models take them."""
    import numpy as np

    largest, spread = float(np.nanmax(np.abs(column))), float(np.nanstd(column))
    if largest * ROUNDED > COARSE * spread:
        raise TableError(
            f"{where} has values up to {largest:.9g} with a standard deviation of {spread:.3g}, which 32 bits do not "
            "keep apart: subtract a constant from all of them"
        )


def _check_not_written_numbers(known: Sequence[str], where: str) -> None:
    """Raise `TableError` where values would be classes that are numbers in another form.

    Numbers with units are measured where most values differ; "5 stars" a hundred times is a class.
    """
    others = [value for value in known if _number(value) is None]
    commas = [value for value in others if DECIMAL_COMMA.fullmatch(value)]
    if commas and len(known) - len(others) + len(commas) >= NUMERIC * len(known):
        raise TableError(f"{where} has decimal commas ({commas[0]!r}): write its numbers with a point")
    qualified = [value for value in others if QUALIFIED.fullmatch(value)]
    if len(qualified) >= NUMERIC * len(known) and len(set(qualified)) > len(known) / 2:
        raise TableError(f"{where} has more than numbers in its values ({qualified[0]!r}): leave the numbers alone")


def _number(value: str) -> float | None:
    """A number that models can learn, in 32 bits, or None. Python reads "1_2", the name of a batch, as 12."""
    try:
        number = float(value)
    except ValueError:
        return None
    return number if abs(number) <= LARGEST and "_" not in value else None


def _value(value: str) -> float:
    number = _number(value)
    return math.nan if number is None or is_missing(value) else number
