"""Messages go through pipes between processes: they arrive as they were sent, and belong to one direction."""

import dataclasses
import pickle
from typing import Any, get_args

import pytest

from sparsebench.suites.runner.execution.execute import Result, failure, now
from sparsebench.suites.runner.execution.executors.ray_cluster import messages
from sparsebench.suites.runner.execution.executors.ray_cluster.messages import (
    Again,
    Agrees,
    Began,
    Broken,
    Close,
    Command,
    Differs,
    Dismiss,
    Done,
    Expect,
    Gone,
    Joined,
    Kind,
    Lacks,
    News,
    Node,
    Order,
    Report,
    Seen,
    Start,
    Stop,
    Tell,
    Told,
)

from ....cells import cell

CELL = cell("moses", reason="why")
DIRECTIONS = (Command, News, Report, Order)
PARTS = (Kind, Node)
"""What stands in messages and is none."""


@pytest.fixture(scope="module")
def sent() -> list[Any]:
    """One of each."""
    commands = [Expect(Kind("d", CELL)), Start(1, CELL), Stop(1)]
    result = Result(failure(CELL, "failed", "RuntimeError: it broke", started=now()), {"correct": [1, 0]}, spent=True)
    trouble = [Differs("d", ["python==3.12"], "lora"), Lacks("d", "no moses here"), Broken("the disk is full")]
    news = [Agrees("d"), *trouble, Began(1, "worker 7"), Again(1, "killed"), Done(1, result)]
    reports = [Seen([Node("id", "name", 4, 1)]), Joined("a"), Told("a", news), Gone("a", "no answer for 30 s")]
    return [*commands, *news, *reports, Tell("a", commands), Dismiss("a", 60.0), Close()]


def test_they_arrive_as_they_were_sent(sent: list[Any]) -> None:
    for message in sent:
        assert pickle.loads(pickle.dumps(message)) == message


def test_each_goes_one_way(sent: list[Any]) -> None:
    one_way = [kind for direction in DIRECTIONS for kind in get_args(direction)]
    assert len(one_way) == len(set(one_way))
    assert {type(message) for message in sent} == set(one_way)
    here = [thing for thing in vars(messages).values() if getattr(thing, "__module__", "") == messages.__name__]
    assert {thing for thing in here if isinstance(thing, type)} == {*one_way, *PARTS}


def test_what_is_said_of_an_attempt_has_its_number(sent: list[Any]) -> None:
    numbered = {type(message) for message in sent if hasattr(message, "attempt")}
    assert numbered == {Start, Stop, Began, Again, Done}


def test_nobody_changes_one(sent: list[Any]) -> None:
    for message in sent:
        for field in dataclasses.fields(message):
            with pytest.raises(dataclasses.FrozenInstanceError):
                setattr(message, field.name, None)
