"""Numbers that a record takes."""

import math

import pytest

from sparsebench.reports.records.record_limits import LARGEST, MOST, RecordError, counts, finite, is_finite


def test_numbers_that_can_be_reckoned_with() -> None:
    finite("here", value=0.5, missing=None, large=LARGEST / 2, small=-LARGEST / 2)
    counts("here", n=0, missing=None, large=MOST - 1)
    assert is_finite(sum((LARGEST / 2) ** 2 for _ in range(1000)) ** 0.5 / 100)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, LARGEST, -1e300, pytest.param(10**5000, id="huge")])
def test_others_are_refused_in_one_line(value: float) -> None:
    with pytest.raises(RecordError, match=r"here: value is .*; records hold finite") as caught:
        finite("here", value=value)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("value", [-1, MOST, pytest.param(10**5000, id="huge")])
def test_counts_that_count_nothing(value: int) -> None:
    with pytest.raises(RecordError, match=r"here: n is .*; a count lies between 0 and 2\^63"):
        counts("here", n=value)
