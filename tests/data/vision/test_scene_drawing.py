"""Turning and laying on: exact where no pixel has to be mixed, and whole numbers throughout."""

import math

import numpy as np
import pytest

from sparsebench.data.vision.scene_drawing import TURN, finished, ground, paste, turned

from .conftest import speckled


def opaque(seed: int, height: int, width: int) -> np.ndarray:
    pixels = speckled(seed, height, width)
    pixels[..., 3] = 255
    return pixels


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_only_move_pixels(quarters: int) -> None:
    pixels = opaque(0, 6, 8)  # the diagonal is 10 long: even as the sides are
    found = turned(pixels, 8, 90 * quarters)
    expected = np.rot90(pixels, -quarters)
    top, left = (10 - expected.shape[0]) // 2, (10 - expected.shape[1]) // 2
    assert found.shape == (10, 10, 4)
    assert (found[top : top + expected.shape[0], left : left + expected.shape[1]] == expected).all()
    assert found[..., 3].sum() == 255 * 48


def test_a_turn_is_the_mean_of_four_neighbours() -> None:
    pixels = opaque(1, 9, 12)
    found = turned(pixels, 12, 30)
    cosine, sine = math.cos(math.pi / 6), math.sin(math.pi / 6)
    middle = len(found) // 2
    for y, x in ((middle, middle), (middle + 2, middle - 3), (middle - 1, middle + 3)):
        right, down = x - (len(found) - 1) / 2, y - (len(found) - 1) / 2
        at_x, at_y = cosine * right + sine * down + 5.5, cosine * down - sine * right + 4
        column, row = math.floor(at_x), math.floor(at_y)
        part_x, part_y = at_x - column, at_y - row
        above = pixels[row, column] * (1 - part_x) + pixels[row, column + 1] * part_x
        below = pixels[row + 1, column] * (1 - part_x) + pixels[row + 1, column + 1] * part_x
        # places are rounded to 1 / 256 of a pixel in both directions, colours and opacity downwards
        assert np.abs(above * (1 - part_y) + below * part_y - found[y, x]).max() <= 2 * 255 / 256 + 8 * 255 / TURN + 1


def test_what_is_opaque_covers_and_what_stands_out_is_cut_off() -> None:
    for centre in ((0.5, 0.5), (0.0, 1.0)):
        canvas = np.full((40, 40, 3), 90, np.uint8)
        sprite = np.zeros((10, 10, 4), np.uint8)
        sprite[2:8, 2:8] = (200, 100, 0, 255)
        paste(canvas, sprite, centre, np.random.default_rng(0))
        left, top = (round(40 * place - 5) for place in centre)
        inside = canvas[top + 2 : min(40, top + 8), max(0, left + 2) : left + 8].astype(int)
        assert (inside[..., 2] == 0).all() and (abs(inside[..., 0] - 2 * inside[..., 1]) <= 1).all()
        assert (canvas[:3, 30:] == 90).all(), "neither object nor shadow reach there"
        assert (canvas <= 90)[canvas[..., 2] > 0].all(), "a shadow only darkens"


def test_grounds_and_noise_come_from_the_seed() -> None:
    first, again, other = (ground(np.random.default_rng(seed), 96) for seed in (0, 0, 1))
    assert first.shape == (96, 96, 3) and first.dtype == np.uint8
    assert (first == again).all() and (first != other).any()
    assert (finished(first, np.random.default_rng(2)) == finished(again, np.random.default_rng(2))).all()
