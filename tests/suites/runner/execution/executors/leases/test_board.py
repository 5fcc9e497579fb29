"""What is read from the names in a run's folder: who has what, and what is free."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.executors.leases import board as module
from sparsebench.suites.runner.execution.executors.leases.board import Board
from sparsebench.suites.runner.execution.executors.leases.identity import Process
from sparsebench.suites.runner.execution.executors.leases.lease import Lease, take, take_over
from sparsebench.suites.runner.execution.executors.leases.membership import Membership, joined
from sparsebench.suites.runner.execution.executors.leases.runs import RunOverError, names_in

PLAN = {"name": "toy", "reuse": "exact", "count": 3, "cells": "1234", "lines": ["python==3.11"]}


@pytest.fixture
def mine(tmp_path: Path) -> Iterator[Membership]:
    with joined(Store(tmp_path).create().folder, PLAN, 30) as membership:
        yield membership


@pytest.fixture
def board(mine: Membership) -> Board:
    return Board(mine)


def first(membership: Membership, id: str) -> Lease:
    lease = take(membership.run, id, 1, membership.token, attempt=1)
    assert lease is not None
    return lease


def taken(board: Board, *ids: str) -> dict[str, Process | None]:
    board.look()
    return {lease.id: owner for lease, owner in board.taken(ids)}


def test_an_empty_run(board: Board) -> None:
    board.look()
    assert (board.ended, board.newest) == (set(), {})


def test_what_has_ended_and_what_is_taken(board: Board, mine: Membership) -> None:
    first(mine, "aa")
    (mine.run.cells / "bb.ended").touch()
    (mine.run.cells / ".dd.draft").mkdir()
    (mine.run.cells / ".ee.1").mkdir()  # a draft of a process whose token has digits alone
    board.look()
    assert (board.ended, board.newest) == ({"bb"}, {"aa": 1})


@pytest.mark.parametrize("backwards", [False, True])
def test_the_newest_lease_is_the_one_of_the_highest_number_in_whatever_order_they_are_listed(
    board: Board, mine: Membership, monkeypatch: pytest.MonkeyPatch, backwards: bool
) -> None:
    for number in (2, 9, 10):
        assert take(mine.run, "aa", number, mine.token, attempt=1) is not None
    monkeypatch.setattr(module, "names_in", lambda folder: sorted(names_in(folder), reverse=backwards))
    board.look()
    assert board.newest == {"aa": 10}
    ((lease, _),) = board.taken(["aa"])
    assert lease.number == 10


def test_a_look_forgets_what_is_gone(board: Board, mine: Membership) -> None:
    (mine.run.cells / "aa.ended").touch()
    board.look()
    (mine.run.cells / "aa.ended").unlink()
    board.look()
    assert board.ended == set()


def test_owners_are_given_for_the_cells_that_were_asked_for(board: Board, mine: Membership) -> None:
    first(mine, "aa")
    first(mine, "bb")
    assert taken(board, "aa", "unknown") == {"aa": Process.this()}


def test_a_cell_has_no_owner_once_its_owner_has_left(board: Board, tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 30) as other:
        first(other, "aa")
        assert taken(board, "aa") == {"aa": Process.this()}
    assert taken(board, "aa") == {"aa": None}


def test_a_cell_that_was_given_back_has_no_owner_though_the_process_lives(board: Board, mine: Membership) -> None:
    first(mine, "aa").release()
    first(mine, "bb")
    assert taken(board, "aa", "bb") == {"aa": None, "bb": Process.this()}


def test_who_took_a_cell_over_is_its_owner(board: Board, mine: Membership, tmp_path: Path) -> None:
    with joined(tmp_path, PLAN, 30) as other:
        lost = first(other, "aa")
    assert taken(board, "aa") == {"aa": None}
    assert take_over(mine.run, lost, mine.token, Store(tmp_path)) is not None
    assert taken(board, "aa") == {"aa": Process.this()}


def test_a_lease_that_is_being_cleared_away_is_passed_over(board: Board, mine: Membership) -> None:
    lease = first(mine, "aa")
    (lease.path / "owner.json").unlink()
    assert taken(board, "aa") == {}


def test_a_lease_is_read_once(board: Board, mine: Membership, monkeypatch: pytest.MonkeyPatch) -> None:
    first(mine, "aa")
    assert taken(board, "aa") == {"aa": Process.this()}
    monkeypatch.setattr(module, "read_lease", lambda *_: pytest.fail("read again"))
    assert taken(board, "aa") == {"aa": Process.this()}


def test_a_run_that_is_over_is_told(board: Board, mine: Membership) -> None:
    mine.run.end()
    with pytest.raises(RunOverError):
        board.look()
