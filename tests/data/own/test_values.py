"""What is to be predicted, by the values: numbers, yes or no, classes; rows without a target say why."""

from typing import Any

import numpy as np
import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own import values
from sparsebench.data.own.values import read_classes, read_properties


def test_numbers_with_gaps_are_regressed() -> None:
    found = read_properties({"a": ["1.5", "", "nan", "-2e1"], "b": ["1", "2", "N/A", "3"]}, "file")
    assert found.goal == "regression" and found.classes == ()
    np.testing.assert_array_equal(found.values, [[1.5, 1], [np.nan, 2], [np.nan, np.nan], [-20, 3]])
    assert found.bad == {2: "no value"}


def test_a_few_bad_numbers_are_rows_with_a_reason() -> None:
    values = [str(number) for number in range(20)]
    found = read_properties({"a": [*values, ">5", "inf"]}, "file")
    assert found.goal == "regression"
    assert found.bad == {row: f"{value!r} is no finite number of 32 bits" for row, value in ((20, ">5"), (21, "inf"))}


def test_a_number_that_is_infinite_to_a_model_is_none() -> None:
    """All other values of its column were unknown beside it."""
    found = read_properties({"a": [*map(str, range(10)), "1e39"]}, "file")
    assert found.bad == {10: "'1e39' is no finite number of 32 bits"}
    assert np.isfinite(found.values[:10].astype(np.float32)).all()


def test_batches_with_an_underline_are_classes() -> None:
    """Python reads "1_2" as 12."""
    found = read_properties({"a": ["1_2", "1_1", "2_1", "1_1"]}, "file")
    assert found.goal == "classification" and found.classes == ("1_1", "1_2", "2_1")


def test_zero_and_one_are_yes_or_no_and_names_are_classes() -> None:
    assert read_properties({"a": ["0", "1", "1.0", ""]}, "file").goal == "multilabel"
    found = read_properties({"a": ["low", "high", "low", ""]}, "file")
    assert found.goal == "classification" and found.classes == ("high", "low")
    assert found.values[:3].tolist() == [1, 0, 1] and found.bad == {3: "no label"}


def test_classes_of_whole_numbers_are_in_their_order() -> None:
    assert read_classes(["10", "9", " 10 "], "file").classes == ("9", "10")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"a": ["1", "2", "x", "y"]}, r"mixes numbers and names \(2 of 4"),
        ({"a": ["1", "1", ""]}, "one value only"),
        ({"a": ["", "nan"]}, "has no value"),
        ({"a": ["x", "x"]}, "has 1 class"),
        # The constant guess had an RMSE of 2.462 and not 2.474 near a million, and of rounding alone near a milliard.
        ({"a": ["1000001.5", "1000007.5", "", "1000003"]}, "up to 1000007.5 with .* which 32 bits do not keep apart"),
        ({"a": ["-0,92", "1,5", "2"]}, "decimal commas .'-0,92'"),
        ({"a": ["1.2 mg/L", "3 mg/L", "<5"]}, "more than numbers in its values .'1.2 mg/L'"),
        ({"a": ["1.5", "2"], "b": ["0", "1"]}, "different kinds"),
        ({"a": ["x", "y"], "b": ["x", "y"]}, "several columns of classes"),
    ],
)
def test_what_cannot_be_predicted(columns: Any, message: str) -> None:
    with pytest.raises(TableError, match=message):
        read_properties(columns, "file")


def test_a_column_of_classes_is_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    monkeypatch.setattr(values, "_check_not_written_numbers", lambda known, where: looked.append(where))
    read_properties({"a": ["low", "high"]}, "file")
    read_classes(["low", "high"], "labels")
    assert looked == ["file, column 'a'", "labels"]


def test_decimal_commas_are_no_classes_either() -> None:
    with pytest.raises(TableError, match=r"decimal commas \('0,5'"):
        read_classes(["0,5", "1,5", "n/a"], "file")


def test_grades_that_begin_with_a_number_are_classes() -> None:
    assert read_classes(["5 stars", "4 stars"] * 4, "file").classes == ("4 stars", "5 stars")


def test_a_label_with_a_fraction_is_no_class() -> None:
    with pytest.raises(TableError, match="no classes"):
        read_classes(["0.5", "1.5"], "file")
