"""Toys: unseen ones in the test part, turned as the labels say."""

import numpy as np
import pytest

from sparsebench.data.vision.scenes import toys as module
from sparsebench.data.vision.scenes.toys import AZIMUTHS, ELEVATIONS, KINDS, SIDE, TOYS, render, toys, view


def test_parts_show_different_toys() -> None:
    train, test = (render(part, 40) for part in (0, 2))
    assert set(train.toys) <= set(range(TOYS // 2)) and set(test.toys) <= set(range(TOYS // 2, TOYS))
    for views in (train, test):
        assert set(views.kinds) == set(range(len(KINDS)))
        assert views.azimuths.max() < AZIMUTHS and views.elevations.max() < ELEVATIONS


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_toys_of_a_kind_differ_and_each_is_the_same_each_time(kind: int) -> None:
    one, again, other = (view(kind, toy, 2, 3, 0) for toy in (0, 0, 1))
    assert (one == again).all() and (one != other).any()


@pytest.mark.parametrize("kind", range(len(KINDS)))
def test_every_azimuth_looks_different(kind: int) -> None:
    """So the labels can be told: no toy looks the same from the front and from behind."""
    views = [view(kind, 0, azimuth, 4, 0).astype(int) for azimuth in range(AZIMUTHS)]
    for number, one in enumerate(views):
        for other in views[number + 1 :]:
            assert np.abs(one - other).mean() > 0.3


def test_a_turn_moves_the_front() -> None:
    """At azimuth 0 the front lies along x, at 180 degrees along -x."""
    for kind in range(len(KINDS)):
        first = module._turned_toy(kind, 0, 0.0)
        behind = module._turned_toy(kind, 0, 180.0)
        for one, other in zip(first, behind, strict=True):
            assert other.centre == pytest.approx(one.centre * [-1, -1, 1])


def test_a_higher_view_shows_a_smaller_height() -> None:
    """The human figure, seen from 30 and from 70 degrees."""
    low, high = (view(1, 0, 0, elevation, 1) for elevation in (0, 8))
    assert _top(low) < _top(high) - 5


def _top(image: np.ndarray) -> int:
    """The first row that shows anything but the ground."""
    return int((image != image[0, 0]).any(axis=1).argmax())


def test_both_labels_share_the_images(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("sparsebench.data.vision.scenes.kept.SIZES", (3, 2, 2))
    azimuth, elevation = toys("azimuth", 3, 2, 2), toys("elevation", 3, 2, 2)
    assert azimuth.train.images.shape == (3, SIDE, SIDE, 3)
    assert (azimuth.train.images == elevation.train.images).all()
    views = render(0, 3)
    assert (azimuth.train.labels == views.azimuths).all() and (elevation.train.labels == views.elevations).all()
    with pytest.raises(ValueError, match="labels: azimuth, elevation"):
        toys("lights")  # type: ignore[arg-type]


@pytest.mark.data
@pytest.mark.timeout(900)
def test_the_whole_set() -> None:
    """Drawn once a machine, in a minute of one core: sizes, every class in every part, no image of training again."""
    for label, classes in (("azimuth", AZIMUTHS), ("elevation", ELEVATIONS)):
        parts = toys(label)  # type: ignore[arg-type]
        assert [len(part.images) for part in parts] == [800, 200, 2000]
        for part in parts:
            counts = np.bincount(part.labels, minlength=classes)
            assert len(counts) == classes and counts.min() > 0
        train = {image.tobytes() for image in parts.train.images}
        assert not [1 for part in parts[1:] for image in part.images if image.tobytes() in train]
