"""What holds for every executor before it does anything: how it closes, and that its words cannot be changed."""

import dataclasses
import pickle
from collections.abc import Collection, Sequence
from typing import get_args

import pytest

from sparsebench.suites.runner.execution.execute import End
from sparsebench.suites.runner.execution.executors.interface import (
    Ended,
    Event,
    Executor,
    Notice,
    Options,
    Retried,
    Started,
)
from sparsebench.suites.runner.identity.cell import Cell

from ...cells import cell

CELL = cell()
END = End(CELL.id, "ok", None, 1.5, "accuracy 0.5")
EVENTS: list[Event] = [Started(CELL, "worker 1"), Retried(CELL, "killed"), Ended(CELL, END), Notice("no GPU on node b")]


class Idle(Executor):
    """Runs nothing, and counts how often it is closed."""

    def __init__(self) -> None:
        self.closed = 0

    def submit(self, cells: Sequence[Cell]) -> None:
        raise AssertionError("nobody asks for it")

    def events(self, seconds: float) -> list[Event]:
        return []

    def cancel(self, ids: Collection[str]) -> None:
        raise AssertionError("nobody asks for it")

    def close(self) -> None:
        self.closed += 1


def test_it_closes_at_the_end_of_the_block() -> None:
    idle = Idle()
    with idle as executor:
        assert executor is idle and idle.closed == 0
    assert idle.closed == 1


def test_it_closes_where_the_block_fails_and_the_error_goes_on() -> None:
    idle = Idle()
    with pytest.raises(KeyboardInterrupt), idle:
        raise KeyboardInterrupt
    assert idle.closed == 1


@pytest.mark.parametrize("name", ["submit", "events", "cancel", "close"])
def test_an_executor_does_all_four(name: str) -> None:
    part = type("Part", (Idle,), {name: getattr(Executor, name)})
    with pytest.raises(TypeError, match=name):
        part()


def test_every_event_can_be_sent_to_another_process_and_changed_by_nobody() -> None:
    assert {type(event) for event in EVENTS} == set(get_args(Event))
    for event in EVENTS:
        assert pickle.loads(pickle.dumps(event)) == event
        name = dataclasses.fields(event)[0].name
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(event, name, None)


def test_what_ended_did_so_here_unless_it_is_said() -> None:
    assert not Ended(CELL, END).elsewhere


def test_options_are_named_so_that_no_number_takes_the_place_of_another() -> None:
    with pytest.raises(TypeError, match="positional"):
        Options(2, 1)  # type: ignore[misc]
    options = Options(workers=2)
    assert (options.threads, options.memory, options.share_workers, options.executor) == (1, None, False, "local")
