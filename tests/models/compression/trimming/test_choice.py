"""Which parts go, against hand-made rankings."""

import pytest
import torch

from sparsebench.models.compression.trimming.choice import BY_SIMILARITY, CHOICES, check_number, choose
from sparsebench.models.errors import ModelError

SIMILARITY = {1: 0.9, 2: 0.7, 4: 0.8, 7: 0.95}


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [("similarity", (1, 7)), ("reverse", (2, 4)), ("first", (1, 2)), ("last", (4, 7))],
)
def test_two_of_four(choice: str, wanted: tuple[int, ...]) -> None:
    assert choose([1, 2, 4, 7], 2, choice=choice, similarity=SIMILARITY) == wanted  # type: ignore[arg-type]


@pytest.mark.parametrize("choice", CHOICES)
def test_none_and_all(choice: str) -> None:
    ways = {"choice": choice, "similarity": SIMILARITY, "generator": torch.Generator().manual_seed(0)}
    assert choose([1, 2, 4, 7], 0, **ways) == ()  # type: ignore[arg-type]
    assert choose([1, 2, 4, 7], 4, **ways) == (1, 2, 4, 7)  # type: ignore[arg-type]


def test_of_equal_ones_the_later_goes_first_whatever_the_order_of_the_values() -> None:
    for order in ([0, 1, 2, 3], [3, 1, 0, 2]):
        similarity = {index: 0.5 for index in order}
        assert choose([0, 1, 2, 3], 2, similarity=similarity) == (2, 3)


def test_random_ones_follow_the_generator_and_reach_every_candidate() -> None:
    def draw(seed: int) -> tuple[int, ...]:
        return choose(range(6), 2, choice="random", generator=torch.Generator().manual_seed(seed))

    assert draw(3) == draw(3)
    drawn = [draw(seed) for seed in range(40)]
    assert all(len(set(chosen)) == 2 and list(chosen) == sorted(chosen) for chosen in drawn)
    assert {index for chosen in drawn for index in chosen} == set(range(6))


@pytest.mark.parametrize("n", [-1, 5, 1.0, True, "2"])
def test_a_bad_number_is_refused(n: object) -> None:
    with pytest.raises(ModelError, match="must be a whole number from 0 to 4"):
        choose([1, 2, 4, 7], n, similarity=SIMILARITY)  # type: ignore[arg-type]
    check_number(4, 4)


def test_a_choice_says_what_it_lacks() -> None:
    assert set(BY_SIMILARITY) < set(CHOICES)
    with pytest.raises(ModelError, match="did you mean 'similarity'"):
        choose([1], 1, choice="similarty")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="needs the similarities"):
        choose([1], 1)
    with pytest.raises(ModelError, match=r"no similarity was measured for the blocks \[3\]"):
        choose([1, 3], 1, similarity=SIMILARITY)
    with pytest.raises(ModelError, match="needs a generator"):
        choose([1], 1, choice="random")
