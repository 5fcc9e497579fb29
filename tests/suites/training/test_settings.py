"""How long to train, and how."""

import dataclasses

import pytest

from sparsebench.suites.training.settings import TrainSettings


@pytest.mark.parametrize("ends", [{}, {"epochs": 1, "steps": 2}, {"steps": 1, "tokens": 2}])
def test_exactly_one_end(ends: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="exactly one of epochs, steps and tokens"):
        TrainSettings(**ends)


@pytest.mark.parametrize(
    "wrong",
    [{"accumulation": 0}, {"batch_size": -1}, {"warmup": 1.5}, {"lowest": -0.1}, {"clip": 0.0}, {"save_every": 0}],
)
def test_values_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        TrainSettings(steps=1, **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="steps=0"):
        TrainSettings(steps=0)


def test_what_may_change_between_a_stop_and_going_on_is_no_part_of_the_identity() -> None:
    settings = TrainSettings(steps=5)
    free = {"save_every": 1, "save_seconds": None, "batch_size": 3, "accumulation": 2}
    assert settings.identity() == dataclasses.replace(settings, **free).identity()
    for change in ({"steps": 6}, {"lowest": 0.1}, {"clip": 1.0}, {"seed": 1}, {"precision": "bfloat16"}):
        assert settings.identity() != dataclasses.replace(settings, **change).identity()
