"""Unit values of the official rules, at the edges of every bin."""

from collections import Counter

import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k import label_rules as rules
from sparsebench.data.vision.vtab1k.tasks import CLASSES


def test_dsprites_positions():
    found = [rules.dsprites_location(position) for position in range(32)]
    assert found[:2] == [0, 0] and found[31] == 15
    assert found == [position // 2 for position in range(32)]


def test_dsprites_orientations():
    found = [rules.dsprites_orientation(orientation) for orientation in range(40)]
    assert found[:4] == [0, 0, 0, 1] and found[39] == 15
    assert found == [int(orientation / 2.5) for orientation in range(40)]
    assert [Counter(found)[label] for label in range(16)] == [3, 2] * 8


@pytest.mark.parametrize(
    ("depths", "label"),
    [([8.0], 0), ([8.01], 1), ([8.5], 1), ([9.0], 2), ([9.5], 3), ([10.0], 4), ([10.01], 5), ([12.0, 8.75, 20.0], 2)],
)
def test_clevr_distances(depths: list[float], label: int):
    assert rules.clevr_distance(depths) == label


def test_clevr_counts():
    assert [rules.clevr_count(count) for count in (3, 10)] == [0, 7]


@pytest.mark.parametrize(
    ("types", "depths", "label"),
    [
        ([0], [8.0], 0),
        ([1], [8.01], 1),
        ([2], [20.0], 1),
        ([0], [20.01], 2),
        ([3], [5.0], 3),
        ([], [], 3),
        ([3, 0, 1], [1.0, 30.0, 12.0], 1),
        ([0], [-2.0], 0),
    ],
)
def test_kitti_distances(types: list[int], depths: list[float], label: int):
    assert rules.kitti_distance(types, depths) == label


def test_labels_that_data_sets_have_themselves():
    assert [rules.smallnorb_azimuth(17), rules.smallnorb_elevation(8), rules.dmlab_label(5)] == [17, 8, 5]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: rules.dsprites_location(32), "from 0 to 31"),
        (lambda: rules.dsprites_orientation(-1), "from 0 to 39"),
        (lambda: rules.dsprites_orientation(1.5), "orientation is 1.5"),
        (lambda: rules.clevr_count(2), "from 3 to 10"),
        (lambda: rules.clevr_distance([]), "no object"),
        (lambda: rules.clevr_distance([100.5]), "outside 0.0 to 100.0"),
        (lambda: rules.clevr_distance([float("nan")]), "a distance of nan"),
        (lambda: rules.kitti_distance([0], [-200.0]), "outside -100.0"),
        (lambda: rules.smallnorb_azimuth(18), "from 0 to 17"),
        (lambda: rules.smallnorb_elevation(9), "from 0 to 8"),
        (lambda: rules.dmlab_label(6), "from 0 to 5"),
        (lambda: rules.label_of("svhn", {"label": 10}), "from 0 to 9"),
        (lambda: rules.label_of("dsprites_loc", {"label": 1}), "no 'label_x_position': it holds label"),
    ],
)
def test_factors_that_there_cannot_be(call, message: str):
    with pytest.raises(LocalFolderError, match=message):
        call()


@pytest.mark.parametrize(
    ("task", "example", "label"),
    [
        ("clevr_count", {"objects": {"size": [0, 1, 1, 0]}}, 1),
        ("clevr_dist", {"objects": {"pixel_coords": [[1, 2, 9.2], [3, 4, 11.0]]}}, 3),
        ("kitti", {"objects": {"type": [7, 0], "location": [[0, 0, 2.0], [0, 0, 21.0]]}}, 2),
        ("dsprites_loc", {"label_x_position": 5}, 2),
        ("dsprites_ori", {"label_orientation": 5}, 2),
        ("smallnorb_azi", {"label_azimuth": 4, "label_elevation": 2}, 4),
        ("smallnorb_ele", {"label_azimuth": 4, "label_elevation": 2}, 2),
        ("dmlab", {"label": 3}, 3),
        ("sun397", {"label": 396}, 396),
    ],
)
def test_labels_of_examples(task: str, example: dict, label: int):
    assert rules.label_of(task, example) == label


def test_every_task_has_a_rule_or_a_label_of_its_own():
    for task in set(CLASSES) - set(rules._RULES):
        assert rules.label_of(task, {"label": CLASSES[task] - 1}) == CLASSES[task] - 1
