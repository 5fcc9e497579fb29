"""Scenes: their labels say what is in them, and they are the same on every machine."""

import hashlib
from pathlib import Path

import numpy as np
import pytest

from sparsebench.data.vision import scenes as module
from sparsebench.data.vision.scenes import ANIMALS, CLASSES, LENGTHS, TOTALS, draw_scenes, scenes
from sparsebench.data.vision.stamps import KINDS, stamps


def test_the_same_scenes_on_every_processor(stamp_root: Path) -> None:
    """The digest is of whole numbers; another Pillow or numpy that draws otherwise makes other tasks."""
    found = hashlib.sha256()
    for label in CLASSES:
        drawn = draw_scenes(label, "train", 3, 96)
        found.update(drawn.images.tobytes() + drawn.labels.astype("<i8").tobytes())
    assert found.hexdigest()[:16] == "6d92f4a8522dbb52"


def test_a_larger_number_adds_and_another_side_keeps_the_labels(stamp_root: Path) -> None:
    few, more = (draw_scenes("orientation", "test", count, 96) for count in (2, 4))
    large = draw_scenes("orientation", "test", 4, 192)
    assert (more.images[:2] == few.images).all()
    assert (large.labels == more.labels).all() and large.images.shape == (4, 192, 192, 3)
    coarse = [part.images.reshape(4, 8, part.images.shape[1] // 8, 8, -1, 3).mean((2, 4)) for part in (more, large)]
    assert np.corrcoef(coarse[0].ravel(), coarse[1].ravel())[0, 1] > 0.95


def test_a_crowd_has_as_many_animals_as_it_says_and_the_nearest_is_as_long(stamp_root: Path) -> None:
    own = stamps()["val"]
    seen = set()
    for seed in range(60):
        number, near, things = module._crowd(own, np.random.default_rng(seed))
        animals = [thing for thing in things if thing.stamp.kind in ANIMALS]
        assert len(animals) == number and TOTALS[0] <= len(things) <= TOTALS[1]
        assert LENGTHS[near] <= max(thing.length for thing in animals) <= LENGTHS[near + 1]
        for thing in things:
            assert all(thing.length / 2 <= place <= 1 - thing.length / 2 for place in thing.centre)
        seen.add((number, near))
    assert {number for number, _ in seen} == {1, 2, 3, 4, 5} and {near for _, near in seen} == set(range(5))


def test_the_large_object_is_of_the_kind_and_turned_as_the_label_says(stamp_root: Path) -> None:
    own = stamps()["test"]
    for seed in range(30):
        label, things = module._category(own, np.random.default_rng(seed))
        subject, *clutter = sorted(things, key=lambda thing: -thing.length)
        assert subject.stamp.kind == list(KINDS)[label]
        assert subject.stamp.kind not in {thing.stamp.kind for thing in clutter} and clutter
        label, things = module._orientation(own, np.random.default_rng(seed))
        assert round(max(things, key=lambda thing: thing.length).degrees / 90) == label


def test_scenes_are_drawn_once_and_refused_where_they_cannot_be(
    stamp_root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = scenes("count", 3, 2, 4, side=96)
    monkeypatch.setattr(module, "draw_scenes", None)
    again = scenes("count", 3, 2, 4, side=96)
    assert [part.images.shape[0] for part in first] == [3, 2, 4]
    for one, other in zip(first, again, strict=True):
        assert (one.images == other.images).all() and (one.labels == other.labels).all()
    with pytest.raises(ValueError, match="label is 'colour'; labels: category, count, distance, orientation"):
        scenes("colour")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="side is 64; sides: 96 to 224 pixels"):
        scenes("count", side=64)
