"""Sentences of what made the records and where they hold."""

import dataclasses
from collections import Counter

from sparsebench.reports.page.holding import NEVER, all_hold_at, holds_at, made_by
from sparsebench.reports.records.vouchers import Standing

NOTHING = Standing(
    commit="669a8a2bffff",
    records=161,
    excluded={},
    states=Counter(covered=14),
    again=Counter(),
    draws=Counter(),
    outside=frozenset(),
    other_errors=0,
)


def standing(**fields) -> Standing:
    return dataclasses.replace(NOTHING, **fields)


def test_the_commits_are_those_that_made_most_records(make):
    records = [
        make.record(f"r{number}", environment={"commit": commit * 12}) for number, commit in enumerate("abbcccdd")
    ]
    assert made_by(records[:1]) == "made by aaaaaaaa"
    assert made_by(records[:3]) == "made by bbbbbbbb and aaaaaaaa"
    assert (
        made_by([*records, make.record("x", environment={})])
        == "made by cccccccc, bbbbbbbb, dddddddd and 2 more commits"
    )


def test_coverage_and_confidence_are_told_apart():
    assert holds_at(None) == NEVER
    assert holds_at(NOTHING) == "14 of 14 code paths hold at 669a8a2b"
    found = standing(again=Counter(equal=43), draws=Counter(equal=29, **{"not run": 1}), other_errors=2)
    assert holds_at(found) == (
        "14 of 14 code paths hold at 669a8a2b; 2 of 43 cells run again have another standard error now; "
        "29 of 161 drawn at random equal: at most 8.7 % could differ (95 %); "
        "not vouched for: 1 drawn that could not be run"
    )


def test_what_does_not_hold_has_no_bound_and_what_is_undecided_counts_against_it():
    states = Counter(covered=10, outside=1, undecided=2, open=1)
    text = holds_at(standing(states=states, draws=Counter(equal=4, outside=1), excluded={"no score (n/a)": 3}))
    assert text.startswith("10 of 14 code paths hold at 669a8a2b; 1 do not: their records are to be made again; 2 are ")
    assert text.endswith("; 4 of 5 drawn at random (of 161) equal; not vouched for: 3 (no score (n/a))")
    undecided = holds_at(standing(draws=Counter(equal=27, rounding=1, undecided=1)))
    assert "28 of 29 drawn at random (of 161) equal (1 to rounding): at most 14 % could differ (95 %)" in undecided


def test_one_sentence_tells_of_all_folders():
    assert all_hold_at([None, None]) == "No cell of these records has been run again to see whether they hold."
    one = standing(again=Counter(equal=14, rounding=1), draws=Counter(equal=29))
    two = standing(again=Counter(equal=1, outside=1), states=Counter(covered=1, outside=1), records=9)
    assert all_hold_at([one, two, None]) == (
        "15 of 16 code paths behind these records hold at 669a8a2b (1 of 3 folders have not been looked at): "
        "of 17 cells run again, 15 equal, 1 rounding, 0 undecided, 1 outside; 29 of 170 records drawn at random equal, "
        "so that at most 14 % could differ (95 %)."
    )
    elsewhere = dataclasses.replace(two, commit="b" * 12, draws=Counter(undecided=1))
    assert "hold at the commits named below" in (text := all_hold_at([one, elsewhere]))
    assert "drawn" not in text
