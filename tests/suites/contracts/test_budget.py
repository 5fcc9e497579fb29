"""The budget of a cell."""

from typing import Any

import pytest

from sparsebench.suites.contracts.budget import Budget

NAN = float("nan")


@pytest.mark.parametrize("share", [0.0, -0.1, 1.5, NAN])
def test_a_share_lies_in_0_to_1(share: float) -> None:
    with pytest.raises(ValueError, match="train_fraction"):
        Budget(train_fraction=share)


def test_the_whole_training_part_is_the_default_and_any_smaller_fraction_is_allowed() -> None:
    assert Budget().train_fraction == 1.0
    assert Budget(train_fraction=1e-3).train_fraction == 1e-3


def test_training_lasts_exactly_one_of_three() -> None:
    assert Budget().duration == ("epochs", 10)
    assert Budget(steps=7).duration == ("steps", 7) and Budget(steps=7).epochs is None
    assert Budget(tokens=1000).duration == ("tokens", 1000)
    wrong: list[dict[str, Any]] = [{"epochs": 1, "steps": 1}, {"steps": 2, "tokens": 3}, {"epochs": 0}, {"tokens": -1}]
    for given in wrong:
        with pytest.raises(ValueError, match=r"epochs|tokens"):
            Budget(**given)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rest": -0.1}, "rest=-0.1 must be 0 or more"),
        ({"rest": NAN}, "rest=nan must be 0 or more"),
        ({"rest": 0.0, "tokens": 9}, "doubles epochs or steps, not tokens=9"),
        ({"rest": 0.0, "doublings": 0}, "doublings=0 must be 1 or more"),
    ],
)
def test_a_rest_that_cannot_be(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Budget(**wrong)


def test_stages_of_fixed_length_do_not_rest() -> None:
    with pytest.raises(ValueError, match="stages of fixed length"):
        Budget(rest=0.0).halves()


@pytest.mark.parametrize(("given", "parts"), [({"epochs": 5}, (2, 3)), ({"steps": 1}, (1, 1)), ({"tokens": 8}, (4, 4))])
def test_two_stages_share_it(given: dict[str, int], parts: tuple[int, int]) -> None:
    first, second = Budget(**given).halves()
    (unit,) = given
    assert (first.duration, second.duration) == ((unit, parts[0]), (unit, parts[1]))
