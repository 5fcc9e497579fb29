"""Runs are numbered, made whole, and ended once. Who may be in one: `test_membership.py`."""

import dataclasses
import os
from pathlib import Path

import pytest

from sparsebench.suites.runner.execution.executors.leases.heartbeat import last_beat
from sparsebench.suites.runner.execution.executors.leases.identity import Process
from sparsebench.suites.runner.execution.executors.leases.runs import (
    Run,
    RunOverError,
    last_number,
    living,
    make_member,
    names_in,
    new_run,
    remove_drafts,
    rename_whole,
    run_of,
)

PLAN = {"name": "toy", "lease": 30}


@pytest.fixture
def leases(tmp_path: Path) -> Path:
    found = tmp_path / "leases"
    found.mkdir()
    return found


def made(leases: Path, number: int) -> Run:
    assert new_run(leases, number, "token", PLAN)
    return run_of(leases, number)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([], (0, False)),
        (["run-000001"], (1, True)),
        (["over-000001"], (1, False)),
        (["over-000001", "run-000002"], (2, True)),
        (["run-000002", "over-000002"], (2, False)),
        (["run-999999", "over-1000000"], (1000000, False)),
        ([".new-token", ".clock-token", "run-7", "run-000003.old"], (0, False)),
    ],
)
def test_the_newest_run_and_whether_it_goes_on(leases: Path, names: list[str], expected: tuple[int, bool]) -> None:
    for name in names:
        (leases / name).mkdir()
    assert last_number(leases) == expected


def test_a_run_is_made_with_its_plan_and_one_living_member(leases: Path) -> None:
    run = made(leases, 1)
    assert names_in(leases) == ["run-000001"]
    assert run.plan() == PLAN
    assert run.cells.is_dir()
    now = last_beat(run.members / "token" / "beat")
    assert list(run.living(now, 30)) == [Process.this()]
    assert list(run.living(now + 31, 30)) == []


def test_who_is_slower_makes_no_run_and_leaves_nothing(leases: Path) -> None:
    run = made(leases, 1)
    assert not new_run(leases, 1, "slower", {"name": "other"})
    assert names_in(leases) == ["run-000001"]
    assert run.plan() == PLAN and names_in(run.members) == ["token"]


def test_a_run_ends_for_all_and_its_number_alone_stays(leases: Path) -> None:
    made(leases, 1).end()
    run = made(leases, 2)
    run.end()
    run.end()
    assert names_in(leases) == ["over-000002"] and names_in(leases / "over-000002") == []
    with pytest.raises(RunOverError):
        run.plan()
    assert last_number(leases) == (2, False)


def test_a_first_run_is_forgotten_with_the_folder_and_a_later_one_stays(leases: Path) -> None:
    first = made(leases, 1)
    first.end()
    (leases / ".clock-of-another").touch()
    first.forget()
    assert names_in(leases) == [".clock-of-another"], "another process is about to begin"
    (leases / ".clock-of-another").unlink()
    first.forget()
    assert not leases.exists()
    leases.mkdir()
    made(leases, 1).end()
    second = made(leases, 2)
    second.end()
    second.forget()
    assert names_in(leases) == ["over-000002"]


def test_a_member_that_is_dead_or_has_left_does_not_live(leases: Path) -> None:
    member = leases / "member"
    make_member(member)
    now = last_beat(member / "beat")
    assert living(member, now, 30) == Process.this()
    this = Process.this()
    dataclasses.replace(this, born=this.born - 1).write(member / "process.json")
    assert living(member, now, 30) is None
    (member / "beat").unlink()
    assert living(member, now, 30) is None
    assert living(leases / "nobody", now, 30) is None


def test_one_who_is_about_to_enter_does_not_count_yet(leases: Path) -> None:
    run = made(leases, 1)
    make_member(run.members / ".draft")
    now = last_beat(run.members / "token" / "beat")
    assert len(list(run.living(now, 30))) == 1


def test_drafts_of_the_living_stay(leases: Path) -> None:
    for name in ("living", "silent"):
        make_member(leases / f".new-{name}" / "members" / name)
    now = last_beat(leases / ".new-living" / "members" / "living" / "beat")
    os.utime(leases / ".new-silent" / "members" / "silent" / "beat", (now - 31, now - 31))
    remove_drafts(leases, now, 30)
    assert names_in(leases) == [".new-living"]


def test_a_name_that_is_taken_is_said_and_the_draft_goes(tmp_path: Path) -> None:
    for taken in ("folder", "file"):
        draft = tmp_path / "draft"
        draft.mkdir()
        if taken == "folder":
            (tmp_path / taken / "content").mkdir(parents=True)
        else:
            (tmp_path / taken).touch()
        assert not rename_whole(draft, tmp_path / taken)
        assert not draft.exists()
    draft.mkdir()
    assert rename_whole(draft, tmp_path / "free") and (tmp_path / "free").is_dir()


def test_any_other_mishap_of_a_rename_is_an_error_and_the_draft_goes(tmp_path: Path) -> None:
    draft = tmp_path / "draft"
    draft.mkdir()
    with pytest.raises(FileNotFoundError):
        rename_whole(draft, tmp_path / "nowhere" / "name")
    assert not draft.exists()


def test_names_of_a_folder_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        names_in(tmp_path / "gone")
