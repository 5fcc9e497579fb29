"""Scenes with photographed objects on textured grounds: what is seen, how many animals, how near, which way up.

Objects are the cut-outs of `stamps.py`; no stamp of the test part is in a training or validation image, so that a kind
of object has to be known, not a picture. Places, sizes, turns, lights and clutter come from a seed. Objects that do not
count are as many and as large as those that do, whatever the label is.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from ..derived import derive, made_from
from .scene_drawing import finished, ground, paste, turned
from .splits import Images, VisionSplits
from .stamps import KINDS, PARTS, SOURCE, Stamp, stamps

if TYPE_CHECKING:
    import numpy as np

SEED = 551  # part of the version
SIDE = 128
SIDES = range(96, 225)
ANIMALS = ("bird", "mammal", "sea animal")
UPRIGHT = ("bird", "mammal")
"""Kinds of which one sees which way up they are."""
MOST_ANIMALS = 5
TOTALS = (6, 8)
"""Least and largest number of objects in a crowd, whatever the number of animals."""
SMALLEST = 0.11
LENGTHS = (0.13, 0.165, 0.21, 0.265, 0.335, 0.42)
"""Length of the nearest animal at the limits of the classes of distance, where the scene's side is 1."""
TILT = 15
"""Degrees by which an object may lean."""
Label = Literal["category", "count", "distance", "orientation"]
CLASSES: Mapping[str, int] = {
    "category": len(KINDS),
    "count": MOST_ANIMALS,
    "distance": len(LENGTHS) - 1,
    "orientation": 4,
}
"""Classes by label: kinds in the order of `KINDS`; 1 to 5 animals; from far to near; quarters of a turn."""


class _Thing(NamedTuple):
    """An object of a scene: its length and its centre x, y, where the side is 1, and its turn in degrees."""

    stamp: Stamp
    length: float
    centre: tuple[float, float]
    degrees: float


_Stamps = Mapping[str, Sequence[Stamp]]


def scenes(label: Label, train: int = 800, val: int = 200, test: int = 2000, side: int = SIDE) -> VisionSplits:
    """Scenes with one of the labels, drawn once and kept in the cache.

    Images of "count" and "distance" are the same.

    Args:
        label: what is to be told.
        train: number of images.
        val: number of images.
        test: number of images.
        side: pixels of a side; another one gives the same scenes.

    Returns:
        The three parts.

    Raises:
        ValueError: another label or side.
        DataError: the package of the stamps cannot be had.

    Example::

        train, val, test = scenes("category", side=224)
    """
    import numpy as np

    if label not in get_args(Label):
        raise ValueError(f"label is {label!r}; labels: {', '.join(get_args(Label))}")
    if side not in SIDES:
        raise ValueError(f"side is {side}; sides: {SIDES.start} to {SIDES.stop - 1} pixels")
    counts = dict(zip(PARTS, (train, val, test), strict=True))
    here = Path(__file__)
    code = made_from([here, here.with_name("scene_drawing.py"), here.with_name("stamps.py")], [SOURCE])
    form = f"scenes-{label}-{side}-{train}-{val}-{test}-{code}"

    def fill(folder: Path) -> None:
        for part, count in counts.items():
            drawn = draw_scenes(label, part, count, side)
            np.save(folder / f"{part}-images.npy", drawn.images)
            np.save(folder / f"{part}-labels.npy", drawn.labels)

    folder = derive(SOURCE, form, fill)
    return VisionSplits(
        *(Images(np.load(folder / f"{part}-images.npy"), np.load(folder / f"{part}-labels.npy")) for part in PARTS)
    )


def draw_scenes(label: Label, part: str, count: int, side: int = SIDE) -> Images:
    """So many scenes of a part; a larger number only adds to them.

    Args:
        label: what is to be told.
        part: "train", "val" or "test": whose stamps are taken.
        count: number of images.
        side: pixels of a side.

    Raises:
        DataError: the package of the stamps cannot be had.
    """
    import numpy as np

    own = stamps()[part]
    images = np.empty((count, side, side, 3), np.uint8)
    labels = np.empty(count, np.int64)
    seed, compose = _COMPOSERS[label]
    for row in range(count):
        rng = np.random.default_rng((SEED, seed, list(PARTS).index(part), row))
        labels[row], things = compose(own, rng)
        images[row] = _drawn(things, rng, side)
    return Images(images, labels)


def _drawn(things: Sequence[_Thing], rng: "np.random.Generator", side: int) -> "np.ndarray":
    """The scene, uint8 (S, S, 3): what is smaller is further away."""
    canvas = ground(rng, side)
    for thing in sorted(things, key=lambda one: one.length):
        pixels = thing.stamp.pixels
        if rng.random() < 0.5:
            pixels = pixels[:, ::-1]
        paste(canvas, turned(pixels, round(thing.length * side), thing.degrees), thing.centre, rng)
    return finished(canvas, rng)


def _category(own: _Stamps, rng: "np.random.Generator") -> tuple[int, list[_Thing]]:
    label = int(rng.integers(len(KINDS)))
    kind = list(KINDS)[label]
    return label, [_subject(own[kind], 0, rng), *_clutter(own, [kind], rng)]


def _orientation(own: _Stamps, rng: "np.random.Generator") -> tuple[int, list[_Thing]]:
    label = int(rng.integers(4))
    kind = UPRIGHT[rng.integers(len(UPRIGHT))]
    return label, [_subject(own[kind], 90 * label, rng), *_clutter(own, UPRIGHT, rng)]


def _subject(candidates: Sequence[Stamp], degrees: int, rng: "np.random.Generator") -> _Thing:
    """The large object of a scene."""
    x, y = rng.uniform(0.35, 0.65, size=2)
    return _Thing(_one(candidates, rng), rng.uniform(0.4, 0.7), (x, y), degrees + rng.uniform(-TILT, TILT))


def _clutter(own: _Stamps, without: Sequence[str], rng: "np.random.Generator") -> list[_Thing]:
    """Two to four small objects of other kinds, turned anyhow."""
    found = []
    for _ in range(rng.integers(2, 5)):
        x, y = rng.uniform(0.05, 0.95, size=2)
        found.append(_Thing(_any(own, without, rng), rng.uniform(0.12, 0.25), (x, y), rng.uniform(0, 360)))
    return found


def _count(own: _Stamps, rng: "np.random.Generator") -> tuple[int, list[_Thing]]:
    number, _, things = _crowd(own, rng)
    return number - 1, things


def _distance(own: _Stamps, rng: "np.random.Generator") -> tuple[int, list[_Thing]]:
    _, near, things = _crowd(own, rng)
    return near, things


def _crowd(own: _Stamps, rng: "np.random.Generator") -> tuple[int, int, list[_Thing]]:
    """The number of animals, the class of the nearest one's distance, and all objects."""
    number = int(rng.integers(1, MOST_ANIMALS + 1))
    near = int(rng.integers(len(LENGTHS) - 1))
    others = rng.integers(TOTALS[0], TOTALS[1] + 1) - number
    largest = rng.uniform(LENGTHS[near], LENGTHS[near + 1])
    lengths = [largest, *rng.uniform(SMALLEST, largest, size=number - 1)]
    chosen = [_any({kind: own[kind] for kind in ANIMALS}, (), rng) for _ in lengths]
    lengths.extend(rng.uniform(SMALLEST, LENGTHS[-1], size=others))
    chosen.extend(_any(own, ANIMALS, rng) for _ in range(others))
    things: list[_Thing] = []
    for row in sorted(range(len(chosen)), key=lambda row: -lengths[row]):
        centre = _free_place(things, lengths[row], rng)
        things.append(_Thing(chosen[row], lengths[row], centre, rng.uniform(-TILT, TILT)))
    return number, near, things


def _free_place(things: Sequence[_Thing], length: float, rng: "np.random.Generator") -> tuple[float, float]:
    """Of some places inside of the scene, the one that covers the others least."""

    def gap(place: "np.ndarray") -> float:
        gaps = [abs(place - thing.centre).max() - (length + thing.length) / 2 for thing in things]
        return min(gaps, default=0.0)

    x, y = max(rng.uniform(length / 2, 1 - length / 2, size=(20, 2)), key=gap)
    return float(x), float(y)


def _any(own: _Stamps, without: Sequence[str], rng: "np.random.Generator") -> Stamp:
    """A stamp of any kind but some; all kinds are equally likely."""
    kinds = [kind for kind in own if kind not in without]
    return _one(own[kinds[rng.integers(len(kinds))]], rng)


def _one(candidates: Sequence[Stamp], rng: "np.random.Generator") -> Stamp:
    return candidates[int(rng.integers(len(candidates)))]


_COMPOSERS: Mapping[str, tuple[int, Callable[[_Stamps, "np.random.Generator"], tuple[int, list[_Thing]]]]] = {
    "category": (0, _category),
    "orientation": (1, _orientation),
    "count": (2, _count),
    "distance": (2, _distance),
}
"""A number that seeds the scenes, and what composes them."""
