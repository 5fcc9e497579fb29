"""The embeddings of positions that a recipe may start from."""

import math

import pytest
import torch

from sparsebench.suites.vtab.pretraining.positions import HIGHEST, LONGEST, SCALE, wave_positions


def test_values_by_hand() -> None:
    positions = wave_positions(3, 8)  # two frequencies for each axis
    assert positions.shape == (9, 8)
    for row in range(3):
        for column in range(3):
            by_hand = []
            for place in (row, column):
                angles = [place * HIGHEST, place * HIGHEST / LONGEST]
                by_hand += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            expected = SCALE * torch.tensor(by_hand)
            torch.testing.assert_close(positions[3 * row + column], expected)


def test_every_position_has_its_own() -> None:
    distances = torch.cdist(wave_positions(8, 96), wave_positions(8, 96))
    distances.fill_diagonal_(1)
    assert distances.min() > 0.5


def test_other_widths() -> None:
    with pytest.raises(ValueError, match="width=98 must be a multiple of 4"):
        wave_positions(8, 98)
