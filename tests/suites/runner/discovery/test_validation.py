"""Values of a user as a dataclass: what is wrong is said in one line."""

from dataclasses import dataclass

import pytest

from sparsebench.suites.runner.discovery.validation import build
from sparsebench.suites.runner.errors import UsageError


@dataclass(frozen=True)
class Options:
    rank: int = 1
    names: tuple[str, ...] = ()
    share: float = 0.5
    whole: bool = False

    def __post_init__(self) -> None:
        if self.rank > 9:
            raise ValueError("rank is at most 9")


def test_values_are_converted() -> None:
    made = build(Options, {"rank": 2, "names": ["a", "b"], "share": 1, "whole": True}, "here")
    assert made == Options(2, ("a", "b"), 1.0, True)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rnk": 1}, "here: unknown key 'rnk'; did you mean rank"),
        ({"rank": "x"}, "here: rank is 'x'"),
        ({"names": ["a", 1]}, r"here: names\.1 is 1"),
        ({"rank": 10}, "rank is at most 9"),
        ({"rank": True}, "here: rank is True: it must be a whole number, like 1"),
        ({"rank": "2"}, "here: rank is '2': it must be a whole number, like 2"),
        ({"share": True}, "here: share is True: it must be a number, like 1.0"),
        ({"whole": "no"}, "here: whole is 'no': it must be true or false, like False"),
        ({"whole": 1}, "here: whole is 1: it must be true or false, like True"),
    ],
)
def test_mistakes(values: dict, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        build(Options, values, "here")
    assert "\n" not in str(caught.value)
