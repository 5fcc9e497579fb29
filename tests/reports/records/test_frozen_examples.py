"""Outcomes as rows of a table: each value comes back bit by bit, with its type."""

import json
import math

import numpy as np
import pyarrow
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sparsebench.reports.records.example_files import pack, unpack
from sparsebench.reports.records.frozen_examples import EMPTY, MOST_WHOLE, is_same, to_columns, to_row

from .drawn_records import json_values, words

values = (
    st.lists(st.integers(-(2**26), 2**26))
    | st.lists(st.floats(allow_nan=False, allow_infinity=False))
    | st.lists(words)
    | st.lists(json_values)
    | st.lists(st.booleans())
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(words, values, max_size=3))
@example({"signs": [0.0, -0.0], "odd": [math.nan, math.inf], "half": ["\ud800"], "mixed": [1, 1.0, True, None]})
@example({"": [], "edge": [MOST_WHOLE, -MOST_WHOLE], "beyond": [MOST_WHOLE + 1], "long": [0.1 + 0.2], "least": [1e-45]})
def test_what_is_frozen_comes_back(columns: dict) -> None:
    rows = [as_kept(to_row(name, values)) for name, values in columns.items()]
    assert is_same(to_columns(rows), columns)


def as_kept(row: tuple) -> list[pyarrow.Scalar]:
    """The row as Parquet gives it back."""
    string = pyarrow.string()
    kinds = (string, string, pyarrow.list_(pyarrow.float32()), pyarrow.list_(string), string)
    return [pyarrow.scalar(value, kind) for value, kind in zip(row, kinds, strict=True)]


@pytest.mark.parametrize(
    ("value", "kind"),
    [(0.3, "float"), (1, "int"), ("law", "text"), ([0.3], "json"), (0.1 + 0.2, "json"), (None, "json")],
)
def test_values_are_in_the_form_that_people_can_use(value: object, kind: str) -> None:
    assert to_row("x", [value])[1] == kind


def test_all_floats_that_were_kept_are_numbers() -> None:
    """They were rounded when they were written: no list of scores ends as text."""
    drawn = np.random.default_rng(0).normal(size=2000) * 10.0 ** np.arange(-20, 20).repeat(50)
    kept = unpack("id", pack("id", {"x": drawn.tolist()}))["x"]
    assert to_row("x", kept)[1] == "float"


def test_no_columns_are_other_than_none() -> None:
    assert to_columns([as_kept(EMPTY)]) == {}


@pytest.mark.parametrize(
    "row",
    [
        *(("x", "kind", [1.0], None, None), ("x", "int", None, None, None), ("x", "int", [math.inf], None, None)),
        *(("x", "int", [math.nan], None, None), ("x", "int", [None], None, None)),
        *(("x", "text", None, None, None), ("x", "json", None, None, "{}"), ("x", "json", None, None, "[")),
        *((None, "int", [1.0], None, None), ("x", "json", None, None, json.dumps(1))),
    ],
)
def test_rows_that_nobody_froze_are_refused(row: tuple) -> None:
    with pytest.raises((ArithmeticError, AttributeError, KeyError, TypeError, ValueError)):
        to_columns([as_kept(row)])
