"""Contour categories: determinism, shapes, the curve against its formula, placement, and what chance changes."""

import math

import numpy as np
import pytest

from sparsebench.data.vision import contours as module
from sparsebench.data.vision.contours import ContourImages, Contours, contours, draw_contours

KINDS = contours(8, 0)


def drawn(labels: list[int], seed: int = 0, kinds: Contours = KINDS, side: int = 32) -> ContourImages:
    return draw_contours(kinds, np.array(labels), np.random.default_rng(seed), side)


def test_shapes_and_types() -> None:
    batch = drawn([3, 0, 7], side=24)
    assert batch.images.shape == (3, 24, 24, 3) and batch.images.dtype == np.uint8
    assert batch.labels.tolist() == [3, 0, 7] and batch.labels.dtype == np.int64
    assert batch.placement.shape == (3, len(module.PLACEMENT)) and batch.placement.dtype == np.float32


def test_the_seed_decides() -> None:
    first, again, other = drawn([1, 2]), drawn([1, 2]), drawn([1, 2], seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.images, other.images)


def test_more_categories_extend_the_first_ones() -> None:
    more, other = contours(12, 0), contours(8, 1)
    assert all(np.array_equal(a, b[:8]) for a, b in zip(KINDS, more, strict=True))
    assert not np.array_equal(KINDS.phase, other.phase)


def test_waves_are_distinct_and_in_bounds() -> None:
    kinds = contours(200, 3)
    assert all(len(set(row)) == module.WAVES for row in kinds.frequency.tolist())
    assert set(kinds.frequency.ravel().tolist()) == set(module.FREQUENCIES)
    assert kinds.amplitude.min() >= module.AMPLITUDE[0] and kinds.amplitude.max() <= module.AMPLITUDE[1]


def test_the_inside_is_that_of_the_formula(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slow reference in float64, pixel by pixel, for curves without jitter."""
    monkeypatch.setattr(module, "JITTER", 0.0)
    labels, side, rng = np.array([2, 5]), 20, np.random.default_rng(0)
    size, centre, angle, narrow = np.array([0.5, 0.8]), np.array([[0.1, -0.3], [0.0, 0.2]]), np.array([0.7, -2.0]), 0.6
    across, along = module._coordinates(centre, angle, side)
    inwards = module._inwards(KINDS, labels, size, along, across / np.float32(narrow), rng)
    for image, label in enumerate(labels):
        waves = [column[label].astype(float) for column in KINDS]
        for row in range(side):
            for column in range(side):
                x = (column + 0.5) * 2 / side - 1 - centre[image, 0]
                y = (row + 0.5) * 2 / side - 1 - centre[image, 1]
                u = math.cos(angle[image]) * x + math.sin(angle[image]) * y
                v = (math.cos(angle[image]) * y - math.sin(angle[image]) * x) / narrow
                bumps = sum(a * math.cos(n * math.atan2(v, u) + p) for n, a, p in zip(*waves, strict=True))
                radius = size[image] * (1 + bumps) / (1 + waves[1].sum())
                expected = (radius - math.hypot(u, v)) * side / 2
                assert inwards[image, row, column] == pytest.approx(expected, abs=1e-4)


def test_the_placement_is_where_the_curve_lies() -> None:
    """Centre and long axis of what is inside of 400 curves, by its moments."""
    count, side, rng = 400, 48, np.random.default_rng(1)
    labels = rng.integers(8, size=count)
    size, angle = rng.uniform(0.5, 0.8, count), rng.uniform(-np.pi, np.pi, count)
    centre = rng.uniform(-1, 1, (count, 2)) * (1 - size)[:, None]
    across, along = module._coordinates(centre, angle, side)
    inside = module._inwards(KINDS, labels, size, along, across / np.float32(0.4), rng) > 0
    grid = (np.arange(side) + 0.5) * 2 / side - 1
    mass = inside.sum((1, 2))
    x, y = (inside * grid).sum((1, 2)) / mass, (inside * grid[:, None]).sum((1, 2)) / mass
    assert np.corrcoef(x, centre[:, 0])[0, 1] > 0.9 and np.corrcoef(y, centre[:, 1])[0, 1] > 0.9
    dx, dy = grid - x[:, None], grid - y[:, None]
    xx = (inside * np.square(dx)[:, None]).sum((1, 2)) / mass
    yy = (inside * np.square(dy)[..., None]).sum((1, 2)) / mass
    xy = (inside * dx[:, None] * dy[..., None]).sum((1, 2)) / mass
    axis = np.arctan2(2 * xy, xx - yy)  # twice the angle of the long axis
    assert np.cos(axis - 2 * angle).mean() > 0.9


def test_curves_stay_inside_the_image() -> None:
    batch = drawn([0] * 200)
    centre, size = batch.placement[:, :2], batch.placement[:, 2]
    radius = np.mean(module.SIZE) + size * (module.SIZE[1] - module.SIZE[0]) / 2
    assert (np.abs(centre) + radius[:, None] <= 1 + 1e-5).all()
    assert np.allclose(np.square(batch.placement[:, 3:]).sum(-1), 1, atol=1e-5)
    assert radius.min() < 0.4 and radius.max() > 0.75


def test_half_are_outlines_and_either_side_may_be_bright(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NOISE", 0.0)
    monkeypatch.setattr(module, "GRATING", 0.0)
    inwards = np.full((2_000, 4, 4), 10, np.float32)  # deep inside
    opacity = module._opacity(inwards, np.random.default_rng(0))[:, 0, 0]
    assert set(opacity.tolist()) == {0.0, 1.0} and 0.45 < opacity.mean() < 0.55
    figure = np.zeros((2_000, 4, 4), np.float32)
    figure[:, 0, 0] = 1
    images = module._paint(figure, np.random.default_rng(0)).astype(int)
    contrast = images[:, 0, 0].mean(-1) - images[:, 3, 3].mean(-1)
    assert 0.45 < (contrast > 0).mean() < 0.55 and np.abs(contrast).min() > 40
    grey = (images[:, 0, 0] == images[:, 0, 0, :1]).all(-1)
    assert 0.45 < grey.mean() < 0.55
