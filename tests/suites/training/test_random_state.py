"""The states of the global random generators."""

import random

import numpy as np
import torch

from sparsebench.suites.training.checkpoint import check_plain
from sparsebench.suites.training.random_state import branch_random_states, random_states, set_random_states, undisturbed


def draw() -> list[float]:
    return [random.random(), float(np.random.normal()), float(torch.rand(())), random.gauss(0, 1)]


def test_what_was_drawn_once_is_drawn_again() -> None:
    draw()  # an odd number of normal numbers: the second one of a pair is kept for later
    states = random_states()
    check_plain(states, "the generators")
    first = draw()
    assert draw() != first
    set_random_states(states)
    assert draw() == first


def test_a_block_that_disturbs_nothing() -> None:
    states = random_states()
    first = draw()
    set_random_states(states)
    with undisturbed():
        draw()
    assert draw() == first


def test_processes_that_go_on_from_one_state_draw_different_numbers() -> None:
    states = random_states()
    drawn = []
    for number in (1, 1, 2):
        set_random_states(states)
        branch_random_states(number)
        drawn.append(draw())
    set_random_states(states)
    assert drawn[0] == drawn[1] and not set(drawn[0]) & set(drawn[2]) and not set(drawn[0]) & set(draw())
