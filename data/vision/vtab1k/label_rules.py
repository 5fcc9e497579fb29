"""VTAB's labels of the structured tasks, from the raw factors of their data sets (Zhai et al., arXiv 1910.04867).

The rules are those of google-research/task_adaptation (`data/clevr.py`, `kitti.py`, `dsprites.py`, `smallnorb.py`,
`dmlab.py`); the names of the factors are those of TFDS. Every rule raises `LocalFolderError` for a factor that the data
set cannot hold.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...errors import LocalFolderError
from .tasks import CLASSES

CLEVR_DISTANCES = (0.0, 8.0, 8.5, 9.0, 9.5, 10.0, 100.0)
"""A distance is of class i if it lies above edge i, and not above edge i + 1."""
KITTI_DISTANCES = (-100.0, 8.0, 20.0, 999.0)
NO_VEHICLE = 1000.0
"""The distance where there is no vehicle: above the last edge, so a class of its own."""
KITTI_VEHICLES = 3
"""Types 0, 1 and 2 are Car, Van and Truck."""
DSPRITES_BINS = 16
POSITIONS, ORIENTATIONS = 32, 40
AZIMUTHS, ELEVATIONS = 18, 9

Example = Mapping[str, Any]


def clevr_count(objects: int) -> int:
    """Number of objects, 3 to 10 -> 0 to 7."""
    return _inside("number of objects", objects, 3, 10) - 3


def clevr_distance(depths: Sequence[float]) -> int:
    """Class of the closest object of an image: <= 8 -> 0, ..., > 10 -> 5.

    Args:
        depths: of all objects (the third pixel coordinate).

    Raises:
        LocalFolderError: an image without objects.
    """
    if not len(depths):
        raise LocalFolderError("an image of CLEVR has no object: its closest one has no distance")
    return _between(CLEVR_DISTANCES, min(depths), last_is_open=False)


def kitti_distance(types: Sequence[int], depths: Sequence[float]) -> int:
    """Types and z coordinates of all objects; the nearest car, van or truck decides.

    <= 8 -> 0, <= 20 -> 1, farther -> 2, no vehicle -> 3.
    """
    vehicles = [NO_VEHICLE]
    for kind, depth in zip(types, depths, strict=True):
        if kind < KITTI_VEHICLES:
            vehicles.append(depth)
    return _between(KITTI_DISTANCES, min(vehicles), last_is_open=True)


def dsprites_location(position_x: int) -> int:
    """Horizontal position, 0 to 31 -> floor(l / 2)."""
    return _binned("horizontal position", position_x, POSITIONS)


def dsprites_orientation(orientation: int) -> int:
    """Orientation, 0 to 39 -> floor(l / 2.5): bins hold 3, 2, 3, 2, ... of the angles."""
    return _binned("orientation", orientation, ORIENTATIONS)


def smallnorb_azimuth(azimuth: int) -> int:
    """TFDS's own label: 0, 20, ..., 340 degrees are 0 to 17."""
    return _inside("azimuth", azimuth, 0, AZIMUTHS - 1)


def smallnorb_elevation(elevation: int) -> int:
    """TFDS's own label: 30, 35, ..., 70 degrees are 0 to 8."""
    return _inside("elevation", elevation, 0, ELEVATIONS - 1)


def dmlab_label(label: int) -> int:
    """TFDS's own label: close, far, very far, of a positive or a negative reward."""
    return _inside("label of DMLab", label, 0, CLASSES["dmlab"] - 1)


def label_of(task: str, example: Example) -> int:
    """The label of an example as TFDS gives it: a mapping with the factors of the data set, or with `label`.

    Raises `LocalFolderError` for a factor that is missing or out of range.
    """
    rule = _RULES.get(task)
    try:
        if rule is not None:
            return rule(example)
        return _inside("label", example["label"], 0, CLASSES[task] - 1)
    except KeyError as error:
        held = ", ".join(map(str, example))
        raise LocalFolderError(f"an example of {task} has no {error}: it holds {held}") from None


_RULES: Mapping[str, Callable[[Example], int]] = {
    "clevr_count": lambda example: clevr_count(len(example["objects"]["size"])),
    "clevr_dist": lambda example: clevr_distance([float(place[2]) for place in example["objects"]["pixel_coords"]]),
    "kitti": lambda example: kitti_distance(
        [int(kind) for kind in example["objects"]["type"]],
        [float(place[2]) for place in example["objects"]["location"]],
    ),
    "dsprites_loc": lambda example: dsprites_location(example["label_x_position"]),
    "dsprites_ori": lambda example: dsprites_orientation(example["label_orientation"]),
    "smallnorb_azi": lambda example: smallnorb_azimuth(example["label_azimuth"]),
    "smallnorb_ele": lambda example: smallnorb_elevation(example["label_elevation"]),
    "dmlab": lambda example: dmlab_label(example["label"]),
}


def _between(edges: Sequence[float], value: float, *, last_is_open: bool) -> int:
    """The largest i with edges[i] < value; above the last edge only where that is a class."""
    below = [number for number, edge in enumerate(edges) if edge < value]
    if not below or (below[-1] == len(edges) - 1 and not last_is_open):
        raise LocalFolderError(f"a distance of {value} lies outside {edges[0]} to {edges[-1]}")
    return below[-1]


def _binned(name: str, value: int, count: int) -> int:
    """floor(value / (count / 16)), without rounding."""
    return _inside(name, value, 0, count - 1) * DSPRITES_BINS // count


def _inside(name: str, value: Any, lowest: int, highest: int) -> int:
    number = int(value)
    if number != value or not lowest <= number <= highest:
        raise LocalFolderError(f"{name} is {value}: it must be a whole number from {lowest} to {highest}")
    return number
