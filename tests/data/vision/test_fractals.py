"""Fractal categories: determinism, shapes, the chaos game, placement, and that categories can be told apart."""

import numpy as np
import pytest

from sparsebench.data.vision import fractals
from sparsebench.data.vision.fractals import Categories, FractalImages, categories, draw_fractals

KINDS = categories(8, 0)


def drawn(labels: list[int], seed: int = 0, kinds: Categories = KINDS, side: int = 32) -> FractalImages:
    return draw_fractals(kinds, np.array(labels), np.random.default_rng(seed), side)


def test_shapes_and_types() -> None:
    batch = drawn([3, 0, 7], side=24)
    assert batch.images.shape == (3, 24, 24, 3) and batch.images.dtype == np.uint8
    assert batch.labels.tolist() == [3, 0, 7] and batch.labels.dtype == np.int64
    assert batch.placement.shape == (3, 4) and batch.placement.dtype == np.float32


def test_the_seed_decides() -> None:
    first, again, other = drawn([1, 2]), drawn([1, 2]), drawn([1, 2], seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert not np.array_equal(first.images, other.images)


def test_more_categories_extend_the_first_ones() -> None:
    more, other = categories(12, 0), categories(8, 1)
    assert all(np.array_equal(a, b[:8]) for a, b in zip(KINDS, more, strict=True))
    assert not np.array_equal(KINDS.maps, other.maps)


def test_maps_contract_and_their_sigma_factor_is_bounded() -> None:
    kinds = categories(100, 5)
    values = np.linalg.svd(kinds.maps[..., :2].astype(float), compute_uv=False)
    count = (values[..., 0] > 0).sum(-1)
    factor = (values @ (1, 2)).sum(-1)
    assert values.max() < 1 and set(count) == set(fractals.MAPS)
    assert (factor >= (5 + count) / 2 - 1e-5).all() and (factor <= (6 + count) / 2 + 1e-5).all()


def test_chances_are_those_of_the_areas() -> None:
    share = np.diff(KINDS.chance.astype(float), prepend=0, axis=-1)
    area = np.abs(np.linalg.det(KINDS.maps[..., :2].astype(float))) + 0.01
    area[~KINDS.maps.any((-1, -2))] = 0  # room for more maps than the category has
    assert np.allclose(share, area / area.sum(-1, keepdims=True), atol=1e-6)


def test_the_chaos_game_draws_the_attractor_of_known_maps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sierpinski's triangle: three halvings towards the corners; the middle triangle stays empty."""
    corners = np.array([[0, 0], [1, 0], [0, 1]], np.float32)
    maps = np.zeros((1, 6, 2, 3), np.float32)
    maps[0, :3, :, :2], maps[0, :3, :, 2] = np.eye(2) / 2, corners / 2
    chance = np.array([[1 / 3, 2 / 3, 1, 1, 1, 1]], np.float32)
    monkeypatch.setattr(fractals, "JITTER", 0.0)
    monkeypatch.setattr(fractals, "BURN_IN", 30)
    points = fractals._chaos_game(Categories(maps, chance), np.array([0]), np.random.default_rng(0))[0]
    deviation = np.sqrt(2 / 27)  # of the uniform measure on the triangle, along an axis
    points = points * fractals.EXTENT * deviation + 1 / 3
    x, y = points.T
    slack = 0.05  # the centre and the deviation are those of the drawn points
    assert len(points) == fractals.WALKERS * fractals.STEPS
    assert x.min() > -slack and y.min() > -slack and (x + y).max() < 1 + slack
    middle = (x < 0.5 - slack) & (y < 0.5 - slack) & (x + y > 0.5 + slack)
    assert not middle.any()
    quarters = [((x > 0.5).mean(), (y > 0.5).mean(), ((x < 0.5) & (y < 0.5)).mean())]
    assert np.allclose(quarters, 1 / 3, atol=0.05)


def test_placement_says_where_the_fractal_is() -> None:
    batch = drawn([label for label in range(8) for _ in range(60)])
    grey = batch.images.mean(-1)
    level = np.median(grey, axis=(1, 2), keepdims=True)  # most of an image is background
    weight = np.abs(grey - level) * (np.abs(grey - level) > 60)
    seen = weight.sum((1, 2)) > 0
    pixel = (np.arange(32) + 0.5) / 16 - 1
    total = weight.sum((1, 2))[seen]
    x, y = ((weight.sum(axis)[seen] @ pixel) / total for axis in (1, 2))
    truth = batch.placement[seen]
    assert seen.mean() > 0.9
    assert np.corrcoef(x, truth[:, 0])[0, 1] > 0.8 and np.corrcoef(y, truth[:, 1])[0, 1] > 0.8
    assert np.corrcoef(np.sqrt(total), truth[:, 2])[0, 1] > 0.3
    assert np.abs(truth).max() <= 1


def test_categories_can_be_told_apart_by_a_simple_statistic() -> None:
    """Moments of the drawn points that no turn, mirror, place or colour changes; nearest mean of 8 categories."""

    def moments(labels: np.ndarray, seed: int) -> np.ndarray:
        points = fractals._chaos_game(KINDS, labels, np.random.default_rng(seed))
        radius = np.linalg.norm(points, axis=-1)
        spread = np.linalg.eigvalsh(np.einsum("bpi,bpj->bij", points, points) / points.shape[1])
        return np.column_stack([spread, *((radius**power).mean(-1) for power in (1, 3, 4))])

    labels = np.repeat(np.arange(8), 30)
    train, test = moments(labels, 0), moments(labels, 1)
    scale = train.std(0)
    means = np.stack([train[labels == label].mean(0) for label in range(8)])
    nearest = (((test[:, None] - means) / scale) ** 2).sum(-1).argmin(-1)
    assert (nearest == labels).mean() > 0.4, "chance is 0.125"


def test_half_of_the_images_are_grey_and_all_have_contrast() -> None:
    images = drawn([0] * 200).images.astype(int)
    grey = np.ptp(images, axis=-1).max((1, 2)) == 0
    assert 0.4 < grey.mean() < 0.6
    assert (np.ptp(images.mean(-1).reshape(200, -1), axis=1) > 40).all()
