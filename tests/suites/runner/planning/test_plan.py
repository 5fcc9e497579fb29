"""The states of cells, and which of them a run takes."""

from dataclasses import replace
from typing import get_args

import pytest
import yaml

from sparsebench.data import hub
from sparsebench.reports.records.index.database import Entry
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity.cell import Cell, cell_key, forget_weights
from sparsebench.suites.runner.planning import plan
from sparsebench.suites.runner.planning.plan import Reuse, compare, expand, expand_fetched, to_run
from sparsebench.suites.runner.planning.profile import Profile, load_profile

from ..cells import INFO

WITH_TEACHER = replace(INFO, further_backbones=["hf:owner/teacher"])


def test_states_and_reuse() -> None:
    cells = expand(load_profile("smoke", ["molecules"]))
    planned = compare(cells, [])
    assert {entry.state for entry in planned} <= {"missing", "n/a"}
    assert to_run(planned, "only") == []
    assert to_run(planned, "exact") == to_run(planned, "never") == to_run(planned, "always")
    assert all(cell.reason is None for cell in to_run(planned, "exact"))


def test_a_record_on_a_covered_path_stands_for_its_cell() -> None:
    cell = next(cell for cell in expand(load_profile("smoke", ["molecules"])) if cell.reason is None)
    place = {"suite": "s", "task": "t", "label": "l", "backbone": "b", "seconds": 1.0, "reason": None, "key": cell.key}
    made = (("1", "old", "ok", "2026-01-01"), ("2", "old", "ok", "2026-01-02"), ("3", "old", "failed", "2026-01-03"))
    entries = [Entry(id=id, code=code, status=status, finished=day, **place) for id, code, status, day in made]
    (planned,) = compare([cell], entries, {("old", cell.code)})
    assert (planned.state, planned.kept) == ("vouched", "2"), "the newest with a score"
    reuses = {reuse: to_run([planned], reuse) == [cell] for reuse in get_args(Reuse)}
    assert reuses == {"vouched": False, "exact": True, "always": False, "never": True, "only": False}
    for covered in ((), {("old", "other")}, {("other", cell.code)}):
        assert [one.state for one in compare([cell], entries, covered)] == ["stale"]
    assert compare([cell], entries[2:], {("old", cell.code)})[0].state == "stale", "a failure is no score"


def test_a_teacher_on_a_hub_is_fetched_and_the_cells_know_its_commit(monkeypatch) -> None:
    commits = {}
    calls = []

    def expand_once(profile: Profile) -> list[Cell]:
        calls.append(profile)
        key = cell_key(WITH_TEACHER, parts_of(WITH_TEACHER), ())
        return [Cell(info=WITH_TEACHER, key=key, code="c", device="cpu", timeout=1.0, sources=())]

    monkeypatch.setattr(hub, "commit", commits.get)
    monkeypatch.setattr(hub, "folder_here", commits.get)
    monkeypatch.setattr(hub, "fetch", lambda name: commits.update({name: "a" * 40}))
    monkeypatch.setattr(plan, "expand", expand_once)
    profile = load_profile("smoke", ["llm"])
    forget_weights()
    before = cell_key(WITH_TEACHER, parts_of(WITH_TEACHER), ())
    forget_weights()
    (cell,) = expand_fetched(profile)
    assert commits and len(calls) == 2 and cell.key != before
    assert expand_fetched(profile) == [cell] and len(calls) == 3
    forget_weights()


def test_rows_that_differ_in_their_labels_alone_are_refused(tmp_path) -> None:
    """One record would stand for both, made twice."""
    rows = ["full_tuning", {"name": "full_tuning", "label": "again"}]
    suite = {"backbones": ["tiny"], "methods": rows, "tasks": ["synthetic"], "seeds": 1}
    path = tmp_path / "twins.yaml"
    path.write_text(yaml.safe_dump({"molecules": suite}))
    with pytest.raises(UsageError, match="the rows 'full_tuning' and 'again' are the same but for their labels"):
        expand(load_profile(str(path)))
