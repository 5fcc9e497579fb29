"""Checks of single values of a profile."""

import math
from datetime import date
from typing import Any

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning import values


def test_good_values_come_back() -> None:
    assert values.text("a", "here") == "a"
    assert values.texts(["a", "b"], "here") == ("a", "b")
    assert values.seeds(values.MOST_SEEDS, "here") == values.MOST_SEEDS
    assert values.seconds(0.5, "here") == 0.5
    assert values.checkpoints(False, "here") is False and values.checkpoints("keep", "here") == "keep"
    assert values.mapping({"a": 1}, "here") == {"a": 1}
    values.check_plain({"a": [None, True, 1, 0.5, "two\nlines", {"b": []}]}, "here")


@pytest.mark.parametrize(
    ("check", "value", "message"),
    [
        (values.text, 3, "must be a text, not 3"),
        (values.texts, "abc", "must be a list, not 'abc'"),
        (values.texts, ["a", 3], "must be a text, not 3"),
        (values.mapping, [], "must be a mapping of keys to values, not list"),
        (values.seeds, True, "must be a whole number from 1 to 10000, not True"),
        (values.seeds, 10**9, "must be a whole number from 1 to 10000"),
        (values.seeds, 2.0, "must be a whole number from 1 to 10000, not 2.0"),
        (values.seconds, math.nan, "must be a number of seconds above 0, not nan"),
        (values.seconds, math.inf, "must be a number of seconds above 0, not inf"),
        (values.seconds, True, "must be a number of seconds above 0, not True"),
        (values.seconds, 0, "must be a number of seconds above 0, not 0"),
        (values.checkpoints, 1, "must be true, false or keep, not 1"),
    ],
)
def test_wrong_values(check: Any, value: Any, message: str) -> None:
    with pytest.raises(UsageError, match=f"here:? {message}"):
        check(value, "here")


def nested(depth: int) -> list:
    content: list = []
    for _ in range(depth):
        content = [content]
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": {"b": [math.inf]}}, "here, a, b: inf is no finite number"),
        ({"a": date(2026, 1, 1)}, "here, a: .* is a date: put it into quotes"),
        ({"a": b"x"}, "here, a: b'x' is a bytes"),
        ({"a": {3: 1}}, "here, a: a key: must be a text, not 3"),
        ({"a": "\ud800"}, r"here, a: the text .* holds '\\ud800', which cannot be printed"),
        ({"a\x1b[2J": 1}, r"holds '\\x1b', which cannot be printed"),
        ({"a": "hf:\0"}, r"holds '\\x00', which cannot be printed"),
        ({"a": 2**63}, "here, a: a whole number must be smaller than 2\\^63"),
        (nested(30), "more than 20 levels deep"),
        ([[0] * 1000] * 1000, "or more than 100000 values in all"),
    ],
)
def test_what_no_record_could_hold(content: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        values.check_plain(content, "here")
    assert "\n" not in str(caught.value)
