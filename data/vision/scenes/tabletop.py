"""Objects on a table, with CLEVR's two label rules: how many there are, and how far the closest one is.

3 to 10 spheres, boxes and cylinders of two sizes and eight colours. Depths are those of the objects' centres along the
line of sight, and span 7.5 to 11.5, so that VTAB's edges (8, 8.5, 9, 9.5, 10) divide them. Numbers of objects and
classes of distance are drawn evenly and apart from each other. No object hides more than a part of another: on the
ground, centres keep a distance.
"""

from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from ..splits import Images, VisionSplits
from ..vtab1k.label_rules import clevr_count, clevr_distance
from .kept import kept
from .raycast import Camera, Shape, Solid, draw, turned

if TYPE_CHECKING:
    import numpy as np

SEED = 1612  # part of the version
CODE = ("raycast.py", "tabletop.py")
SIDE = 64
OBJECTS = (3, 10)
DISTANCE_CLASSES = 6
COUNT_CLASSES = OBJECTS[1] - OBJECTS[0] + 1
NEAREST = ((7.5, 7.95), (8.05, 8.45), (8.55, 8.95), (9.05, 9.45), (9.55, 9.95), (10.05, 10.4))
"""Depth of the closest object by class: a little inside VTAB's edges."""
FARTHEST = 11.5
APART = 0.75
"""Least distance of two centres on the ground."""
HALF_WIDTH = 2.4
SIZES = (0.22, 0.38)
SHAPES: tuple[Shape, ...] = get_args(Shape)
COLOURS = (
    *((0.35, 0.35, 0.35), (0.85, 0.25, 0.2), (0.2, 0.35, 0.85), (0.2, 0.65, 0.25)),
    *((0.55, 0.35, 0.15), (0.55, 0.2, 0.7), (0.2, 0.75, 0.75), (0.9, 0.8, 0.2)),
)
CAMERA_HEIGHT = 4.2
TARGET = 8.4
"""Where the camera looks: so far in front of it, on the ground."""

Label = Literal["count", "distance"]


class Table(NamedTuple):
    """``images`` uint8 (N, S, S, 3); ``counts`` and ``depths`` of the closest object, (N,) each."""

    images: "np.ndarray"
    counts: "np.ndarray"
    depths: "np.ndarray"


def tabletop(label: Label, train: int = 800, val: int = 200, test: int = 2000) -> VisionSplits:
    """Three parts, each from a seed of its own; both labels share the same images, as in VTAB."""
    if label not in get_args(Label):
        raise ValueError(f"label is {label!r}; labels: {', '.join(get_args(Label))}")
    return VisionSplits(*(_labelled(part, count, label) for part, count in enumerate((train, val, test))))


def _labelled(part: int, count: int, label: Label) -> Images:
    import numpy as np

    table = Table(**kept("tabletop", CODE, lambda part, count: render(part, count)._asdict(), part, count))
    if label == "count":
        labels = [clevr_count(number) for number in table.counts.tolist()]
    else:
        labels = [clevr_distance([depth]) for depth in table.depths.tolist()]
    return Images(table.images, np.array(labels, np.int64))


def render(part: int, count: int) -> Table:
    """The first ``count`` images of a part."""
    import numpy as np

    images = np.empty((count, SIDE, SIDE, 3), np.uint8)
    counts = np.empty(count, np.int64)
    depths = np.empty(count)
    for row in range(count):
        rng = np.random.default_rng((SEED, part, row))
        camera = _camera(rng)
        solids = _objects(camera, rng)
        sun = np.array([rng.uniform(-0.6, 0.6), rng.uniform(-0.6, 0.2), 1.0])
        images[row] = draw(solids, camera, sun, SIDE, ground=np.full(3, rng.uniform(0.6, 0.75)))
        counts[row] = len(solids)
        depths[row] = min(camera.depth(solid.centre) for solid in solids)
    return Table(images, counts, depths)


def _camera(rng: "np.random.Generator") -> Camera:
    """Above the ground, looking along y, a little moved each time."""
    import numpy as np

    place = np.array([rng.uniform(-0.3, 0.3), 0.0, CAMERA_HEIGHT + rng.uniform(-0.2, 0.2)])
    return Camera(place=place, target=np.array([0.0, TARGET, 0.0]), width=0.6)


def _objects(camera: Camera, rng: "np.random.Generator") -> list[Solid]:
    """The closest object first; where one more finds no room, all are drawn again."""
    count = int(rng.integers(OBJECTS[0], OBJECTS[1] + 1))
    nearest = NEAREST[int(rng.integers(DISTANCE_CLASSES))]
    while True:
        solids: list[Solid] = []
        for number in range(count):
            room = nearest if number == 0 else (camera.depth(solids[0].centre) + 0.02, FARTHEST)
            solid = _place(camera, solids, room, rng)
            if solid is None:
                break
            solids.append(solid)
        if len(solids) == count:
            return solids


def _place(
    camera: Camera, others: list[Solid], depths: tuple[float, float], rng: "np.random.Generator"
) -> Solid | None:
    """An object with its depth in a range and room around it; None after thirty attempts."""
    import numpy as np

    size = SIZES[int(rng.integers(len(SIZES)))]
    shape = SHAPES[int(rng.integers(len(SHAPES)))]
    colour = np.array(COLOURS[int(rng.integers(len(COLOURS)))])
    forwards = camera.axes()[2]
    for _ in range(30):
        depth = rng.uniform(*depths)
        x = rng.uniform(-1, 1) * HALF_WIDTH
        # Solve depth = (centre - place) . forwards for y, with the object standing on the ground.
        rest = depth - (x - camera.place[0]) * forwards[0] - (size - camera.place[2]) * forwards[2]
        centre = np.array([x, camera.place[1] + rest / forwards[1], size])
        if all(np.hypot(*(centre - other.centre)[:2]) >= APART for other in others):
            placing = turned(rng.uniform(0, 90), np.full(3, size))
            return Solid(shape=shape, placing=placing, centre=centre, colour=colour)
    return None
