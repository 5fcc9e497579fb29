"""Curves of compression, link by link, and what is refused."""

import pytest

from sparsebench.reports.compression import curves as names
from sparsebench.reports.compression.curves import is_of_compression, is_read, links_of
from sparsebench.reports.records.record_limits import RecordError


def test_links_in_their_order():
    found = links_of(
        {
            "2. compression bits": [(0, 3.0), (1, 4.0)],
            "1. compression bytes": [(0, 10.0), (1, 8.0)],
            "1. dropped by block": [(0, 0.0), (1, 1.0)],
            "2. train loss": [(0, 1.0)],
        }
    )
    assert [link.number for link in found] == [1, 2]
    assert found[0].values(names.BYTES) == [10.0, 8.0] and found[1].values(names.BITS) == [3.0, 4.0]
    assert found[0].values(names.BITS) == []
    (alone,) = links_of({"compression zeros up": [(0, 0.5)], "compression zeros down": [(0, 0.25), (1, 0.5)]})
    assert alone.number == 1 and alone.zeros() == [0.5, 0.25, 0.5]


def test_which_curves_are_read_and_which_are_only_here():
    curves = ("compression bits", "12. compression bits", "3. similarity by block", "zeros by block", "train loss")
    assert [is_of_compression(name) for name in curves] == [True, True, False, False, False]
    assert [is_read(name) for name in curves] == [True, True, True, True, False]


@pytest.mark.parametrize(
    ("curves", "message"),
    [
        ({"compression bytes": [(1, 8.0)]}, "has no value before and one after"),
        ({"compression zeros up": [(0, 1.5)]}, "no shares"),
        ({"zeros by block": [(0, -0.5)]}, "no shares"),
        ({"2. compression experts": [(0, 1.5)]}, "count nothing"),
        ({"compression bits": [(0, -1.0)]}, "count nothing"),
    ],
)
def test_what_makes_no_sense(curves, message):
    with pytest.raises(RecordError, match=message):
        links_of(curves)
