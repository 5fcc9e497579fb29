"""Claims and checks as data: what an interval says of a claim, and checks that lack something."""

import dataclasses

import pytest

from sparsebench.reports.tables.claims import Check

from .studies import CLAIM

STATED = dataclasses.replace(CLAIM, smallest_effect=0.02, smallest_reason="ours")
EQUAL = dataclasses.replace(CLAIM, relation="equal", margin=0.1)


@pytest.mark.parametrize(
    ("claim", "interval", "verdict"),
    [
        (STATED, (-0.5, -0.1), "holds"),
        (STATED, (0.1, 0.5), "fails"),
        (STATED, (-0.1, 0.1), "undecided"),
        (STATED, (-0.019, -0.001), "negligible"),
        (STATED, (-0.021, -0.001), "holds"),
        (CLAIM, (-0.019, -0.001), "holds"),
        (dataclasses.replace(STATED, margin=0.3), (-0.31, -0.29), "undecided"),
        (dataclasses.replace(STATED, margin=0.02), (-0.038, -0.022), "holds"),
        (dataclasses.replace(STATED, margin=0.3), (-0.2, -0.1), "fails"),
        (dataclasses.replace(STATED, margin=-0.3), (-0.01, 0.01), "holds"),
        (dataclasses.replace(STATED, direction="higher"), (0.1, 0.5), "holds"),
        (EQUAL, (-0.05, 0.09), "holds"),
        (EQUAL, (-0.05, 0.11), "undecided"),
        (EQUAL, (0.11, 0.2), "fails"),
        (EQUAL, (-0.2, -0.11), "fails"),
    ],
)
def test_where_the_interval_lies_decides(claim, interval, verdict):
    assert claim.ruling(*interval) == verdict


def test_the_smallest_effect_of_a_claim_that_allows_a_difference_is_its_margin():
    assert (STATED.smallest, EQUAL.smallest, CLAIM.smallest) == (0.02, 0.1, None)
    assert dataclasses.replace(STATED, margin=-0.01).smallest == 0.01
    assert dataclasses.replace(STATED, margin=0.3).smallest == 0.02


def test_that_nothing_differs_is_told_from_that_something_does():
    assert [STATED.decides(verdict, True) for verdict in ("holds", "fails", "negligible")] == [False, False, True]
    assert [EQUAL.decides(verdict, True) for verdict in ("holds", "fails")] == [True, False]
    assert not any(STATED.decides("undecided", same) for same in (False, True))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "stated", "reason": ""}, "needs a reason"),
        ({"kind": "routers", "at_least": 0.9}, "routers needs `at_most`"),
        ({"kind": "metric", "metric": "exact"}, "needs `metric`, and `at_least` or `at_most`"),
        ({"kind": "null row", "rows": ("A", "B")}, "needs that row, one"),
    ],
)
def test_a_check_without_what_its_kind_needs_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Check(**{"reason": "because", **fields})
