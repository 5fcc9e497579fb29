"""Tables: what is counted stands there, and distances are those of the labels."""

import numpy as np
import pytest

from sparsebench.data.vision.scenes import tabletop as module
from sparsebench.data.vision.scenes.tabletop import COUNT_CLASSES, DISTANCE_CLASSES, SIDE, render, tabletop
from sparsebench.data.vision.vtab1k.label_rules import clevr_distance


def scene(row: int):
    rng = np.random.default_rng((module.SEED, 0, row))
    camera = module._camera(rng)
    return camera, module._objects(camera, rng)


def test_labels_are_those_of_the_scene() -> None:
    counts, classes = set(), set()
    for row in range(120):
        camera, solids = scene(row)
        depths = [camera.depth(solid.centre) for solid in solids]
        assert 3 <= len(solids) <= 10
        assert depths[0] == min(depths) and max(depths) <= module.FARTHEST + 1e-9
        counts.add(len(solids) - 3)
        classes.add(clevr_distance(depths))
        places = np.array([solid.centre[:2] for solid in solids])
        apart = np.linalg.norm(places[:, None] - places[None], axis=-1) + 9 * np.eye(len(places))
        assert apart.min() >= module.APART
        assert all(solid.centre[2] == solid.placing[2, 2] for solid in solids), "on the ground"
    assert counts == set(range(COUNT_CLASSES)) and classes == set(range(DISTANCE_CLASSES))


def test_every_object_is_in_the_view() -> None:
    for row in range(60):
        camera, solids = scene(row)
        right, up, forwards = camera.axes()
        for solid in solids:
            way = solid.centre - camera.place
            depth = way @ forwards
            assert abs(way @ right) / depth < camera.width / 2 and abs(way @ up) / depth < camera.width / 2


def test_images_do_not_depend_on_how_many_are_drawn(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr("sparsebench.data.vision.scenes.kept.SIZES", (4, 2, 3))
    count, distance = tabletop("count", 4, 2, 3), tabletop("distance", 3, 1, 2)
    assert [part.images.shape for part in count] == [(4, SIDE, SIDE, 3), (2, SIDE, SIDE, 3), (3, SIDE, SIDE, 3)]
    assert (count.train.images[:3] == distance.train.images).all(), "both labels share the images"
    table = render(0, 3)
    assert (table.images == distance.train.images).all()
    assert (table.counts - 3 == count.train.labels[:3]).all()
    assert [clevr_distance([depth]) for depth in table.depths] == distance.train.labels.tolist()
    with pytest.raises(ValueError, match="5 images are asked for, but part 0 of tabletop has 4"):
        tabletop("count", 5, 2, 3)


def test_unknown_label() -> None:
    with pytest.raises(ValueError, match="labels: count, distance"):
        tabletop("colour")  # type: ignore[arg-type]


@pytest.mark.data
@pytest.mark.timeout(900)
def test_the_whole_set() -> None:
    """Drawn once a machine, about a minute of one core: sizes, every class in every part, no image twice."""
    for label, classes in (("count", COUNT_CLASSES), ("distance", DISTANCE_CLASSES)):
        parts = tabletop(label)  # type: ignore[arg-type]
        assert [len(part.images) for part in parts] == [800, 200, 2000]
        for part in parts:
            shares = np.bincount(part.labels, minlength=classes) / len(part.labels)
            assert len(shares) == classes and 0.4 / classes < shares.min() and shares.max() < 1.8 / classes
        images = np.concatenate([part.images.reshape(len(part.images), -1) for part in parts])
        assert len(np.unique(images, axis=0)) == len(images)
