"""The front: three findings and the sum of the claims."""

from dataclasses import replace

from sparsebench.reports.page.front import claims_bar, findings
from sparsebench.reports.tables.claims import judge

from ..tables.claims.studies import CLAIM


def test_a_finding_opens_its_track(report):
    found = report.document["findings"]
    assert len(found) == 3
    assert len({one["open"].partition(".")[0] for one in found}) == 3, "one of each suite"
    for one in found:
        track = next(track for track in report.document["tracks"] if one["open"] == f"track={track['id']}")
        assert one["lead"] == f"{track['name']}: "
        assert track["sentence"].startswith(one["text"].rstrip("."))
    assert findings([], []) == []


def test_of_a_study_they_are_its_claims_and_all_are_counted():
    judged = judge([CLAIM, replace(CLAIM, id="C2", ours=True)], [])
    found = findings([], judged)
    assert [one["open"] for one in found] == ["sheet=claims", "sheet=claims"]
    assert found[0]["lead"].startswith("Undecided") and CLAIM.statement in found[0]["text"]
    bar = claims_bar(judged)
    assert bar is not None and bar["total"] == 1 and bar["own"] == 1
    assert {part["verdict"]: part["count"] for part in bar["parts"]}["undecided"] == 1
    assert bar["own_words"] == "1 is undecided"
    assert claims_bar([]) is None
