"""The front: three findings and the sum of the claims."""

from dataclasses import replace

from sparsebench.reports.page.front import claims_bar, findings
from sparsebench.reports.tables.claims import judge

from ..tables.claims.studies import CLAIM


def track(suite, number, rank):
    return {
        "id": f"{suite}.{number}",
        "suite": suite,
        "name": f"{suite} {number}",
        "short": "s",
        "rank": rank,
        "rows": [],
    }


def test_each_suite_in_turn_gives_what_a_reader_learns_most_from(report):
    tracks = [track("a", 1, 2), track("a", 2, 0), track("a", 3, 1), track("b", 1, 3)]
    found = findings(tracks, [])
    assert [one["open"] for one in found] == ["track=a.2", "track=b.1", "track=a.3"]
    assert found[0]["lead"] == "a 2: "
    assert findings([], []) == []
    assert len(report.document["findings"]) == 3
    assert len({one["open"].partition(".")[0] for one in report.document["findings"]}) == 3, "one of each suite"


def test_of_a_study_they_are_its_claims_and_all_are_counted():
    judged = judge([CLAIM, replace(CLAIM, id="C2", ours=True)], [])
    found = findings([track("a", 1, 0)], judged)
    assert [one["open"] for one in found] == ["sheet=claims", "sheet=claims"]
    assert found[0]["lead"].startswith("Undecided") and CLAIM.statement in found[0]["text"]
    bar = claims_bar(judged)
    assert bar is not None and bar["total"] == 1 and bar["own"] == 1
    assert {part["verdict"]: part["count"] for part in bar["parts"]}["undecided"] == 1
    assert bar["own_words"] == "1 is undecided"
    assert claims_bar([]) is None
