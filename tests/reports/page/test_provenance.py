"""Provenance: sources and environments of all records, and what is not right with their commits."""

from sparsebench.reports.page.provenance import commits_note, provenance
from sparsebench.reports.records.record import DataInfo


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
