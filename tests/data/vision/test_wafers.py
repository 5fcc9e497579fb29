"""Simulated wafer maps: values, classes that differ as their names say."""

import numpy as np

from sparsebench.data.vision.wafers import BACKGROUND, CLASSES, FAILED, PASSED, SIDE, wafers


def test_sizes_values_and_determinism() -> None:
    splits = wafers(train=40, val=20, test=30)
    assert [part.images.shape for part in splits] == [(40, SIDE, SIDE, 3), (20, SIDE, SIDE, 3), (30, SIDE, SIDE, 3)]
    assert set(np.unique(splits.train.images)) == {BACKGROUND, PASSED, FAILED}
    assert (wafers(40, 1, 1).train.images == splits.train.images).all()
    assert (wafers(10, 1, 1).train.images == splits.train.images[:10]).all()
    corners = splits.train.images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert (corners == BACKGROUND).all()


def test_classes_fail_where_their_names_say() -> None:
    images, labels = wafers(train=450, val=1, test=1).train
    assert set(labels) == set(range(len(CLASSES)))
    failed = images[..., 0] == FAILED
    axis = (np.arange(SIDE) + 0.5) / SIDE * 2 - 1
    radius = np.hypot(*np.meshgrid(axis, axis))

    def share(name: str, least: float, most: float) -> float:
        ring = (radius >= least) & (radius < most)
        return failed[labels == CLASSES.index(name)][:, ring].mean()

    assert share("center", 0, 0.2) > 3 * share("center", 0.7, 1)
    assert share("donut", 0.45, 0.55) > 2 * share("donut", 0, 0.15)
    assert share("edge-ring", 0.92, 1) > 3 * share("edge-ring", 0, 0.7)
    assert share("edge-loc", 0.9, 1) > 1.4 * share("edge-loc", 0, 0.6)
    assert share("near-full", 0, 1) > share("random", 0, 1) + 0.1 > share("none", 0, 1) + 0.3
    assert share("loc", 0.35, 0.65) > share("none", 0.35, 0.65) < share("scratch", 0, 1)
