"""Headlines: which findings come first, and what tracks are called."""

from dataclasses import replace

from sparsebench.reports.page.headlines import (
    Headline,
    claims_bar,
    family_name,
    findings,
    headlines,
    measure,
    most_telling,
    spoken,
)
from sparsebench.reports.tables.claims import judge
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

from ..tables.claims.studies import CLAIM

INFO = SuiteInfo(title="V", description="", baseline="base", unit="image", margins={"share": 0.01})


def headline(make) -> Headline:
    """Of one task, with a row that is better."""
    records = make.side("base", [0.50, 0.51, 0.49]) + make.side("row", [0.70, 0.71, 0.69])
    (matrix,) = matrices(records)
    (found,) = headlines("a", matrix, INFO, suite_table(matrix, INFO))
    return found


def test_each_suite_in_turn_gives_what_a_reader_learns_most_from(make):
    one = headline(make)
    assert (one.track, one.name) == ("a.1", "T")
    ranks = {("a", "a.1"): 2, ("a", "a.2"): 0, ("a", "a.3"): 1, ("b", "b.1"): 3}
    told = [
        replace(one, suite=suite, track=track, found=replace(one.found, rank=rank))
        for (suite, track), rank in ranks.items()
    ]
    assert [found.track for found in most_telling(told)] == ["a.2", "b.1", "a.3"]
    assert most_telling([]) == []


def test_tasks_have_names_that_people_say(make):
    assert spoken("freesolv") == "Hydration free energy (FreeSolv)"
    assert spoken("a_task_of_mine") == "A task of mine"
    (matrix,) = matrices([make.record("base", task) for task in ("digits", "fashion_mnist")])
    (family,) = INFO.families(matrix)
    assert family_name(family) == "Handwritten digits and Fashion-MNIST"
    assert measure(family.columns[0]) == "accuracy (%) ↑"
    assert measure(replace(family.columns[0], unit="bits/byte", metric="bits_per_byte")) == "bits per byte ↑"


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
