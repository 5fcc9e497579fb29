"""Provenance: sources and environments of all records, what is not right with their commits, and where they hold."""

import dataclasses
from collections import Counter

from sparsebench.reports.page.provenance import NEVER, all_hold_at, commits_note, holds_at, made_by, provenance
from sparsebench.reports.records.record import DataInfo
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


def test_sources_say_which_suites_read_them_and_environments_where_they_differ(make):
    data = [DataInfo(source="digits", version="1", sha256=None, licence="BSD")]
    records = [make.record("a", data=data, environment={"torch": "2.13", "threads": 1})]
    records += [make.record("b", seed=3, data=data, environment={"torch": "2.14"}, cell={"suite": "llm"})]
    found = provenance(records)
    (source,) = found.sources
    assert source == ("digits", "1", "–", "BSD", "vtab, llm")
    assert dict(found.environment) == {"threads": "1", "torch": "2.13, 2.14"}
    assert found.seeds == "0, 3"
    assert found.seconds == sum(sum(record.times.values()) for record in records)


def test_nothing_has_no_provenance():
    assert provenance([]).sources == ()


def test_the_total_of_a_cell_is_not_added_to_its_parts(make):
    """`times` has the parts and the total; their sum would say twice what it took."""
    assert provenance([make.record(times={"fit": 3.0, "evaluate": 1.0, "total": 4.5})]).seconds == 4.5
    assert provenance([make.record(times={"fit": 3.0, "evaluate": 1.0})]).seconds == 4.0


def test_what_differs_between_records_is_named_once(make) -> None:
    records = [make.record("a"), make.record("b"), make.record("a", "other")]
    found = provenance(records)
    assert len(set(found.code)) == len(found.code) >= 1
    assert found.started <= found.finished
    assert found.seconds == sum(sum(record.times.values()) for record in records)


def test_commits_that_are_not_here_and_trees_that_no_commit_holds(make):
    """Audit: 247 committed records named a commit that the repository does not have, and nothing said so."""
    here = [make.record("a", seed=seed, environment={"commit": "b" * 40, "dirty": False}) for seed in range(2)]
    absent = make.record("a", seed=2, environment={"commit": "c" * 40, "dirty": True})
    assert commits_note(here, {"c" * 40}) == ""
    assert commits_note([*here, absent], {"c" * 40}) == (
        "1 of 3 records name a commit that this repository does not have (cccccccc); "
        "1 of 3 were made with changes that no commit holds"
    )
    assert commits_note([*here, absent], ()) == "1 of 3 records were made with changes that no commit holds"


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
    text = holds_at(
        standing(states=states, draws=Counter(equal=4, outside=1), excluded={"no data: set A to it; expected: b.": 2})
    )
    assert text.startswith("10 of 14 code paths hold at 669a8a2b; 1 do not: their records are to be made again; 2 are ")
    assert text.endswith("; 4 of 5 drawn at random (of 161) equal; not vouched for: 2 (no data: set A to it)")
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
