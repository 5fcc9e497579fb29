"""Notes and provenance: reasons, failures, warnings, sources and environments, long lists cut."""

from sparsebench.reports.page.provenance import (
    MAX_FAILURES,
    MAX_WARNINGS,
    commits_note,
    notes,
    provenance,
)
from sparsebench.reports.records.record import DataInfo


def test_reasons_name_their_rows_and_tasks(make):
    records = [make.record("prefix", task, status="n/a", reason="no attention") for task in ("digits", "svhn")]
    records += [make.record("lora", "digits", status="n/a", reason="no attention"), make.record("a")]
    (reason,) = notes(records).not_applicable
    assert (reason.text, reason.where, reason.cells) == ("no attention", "prefix: digits, svhn; lora: digits", 3)


def test_failures_and_warnings_are_cut_and_counted(make):
    failed = [make.record("a", seed=seed, status="oom") for seed in range(MAX_FAILURES + 2)]
    warned = [make.record("b", seed=i, warnings=[f"w{i}", "often"]) for i in range(MAX_WARNINGS + 3)]
    found = notes([*failed, *warned])
    assert (len(found.failures), found.failures_excluded) == (MAX_FAILURES, 2)
    assert found.warnings[0] == ("often", MAX_WARNINGS + 3)
    assert (len(found.warnings), found.warnings_excluded) == (MAX_WARNINGS, 4)


def test_sources_say_which_suites_read_them_and_environments_where_they_differ(make):
    data = [DataInfo(source="digits", version="1", sha256=None, licence="BSD")]
    records = [make.record("a", data=data, environment={"torch": "2.13", "threads": 1})]
    records += [make.record("b", seed=3, data=data, environment={"torch": "2.14"}, cell={"suite": "llm"})]
    found = provenance(records)
    (source,) = found.sources
    assert (source.source, source.suites) == ("digits", "vtab, llm")
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
