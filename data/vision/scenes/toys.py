"""Toys of five kinds on a plain ground, turned and seen from above, with SmallNORB's two labels.

Kinds as in SmallNORB: animal, human figure, aeroplane, truck, car. Each kind has ten toys, which differ in all
proportions; five of each train, and the validation and test part show the other five, so that what is learned has to
hold for objects that nobody has seen. 18 azimuths x 9 elevations x 6 lights, grey, 64 x 64 pixels.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from ..splits import Images, VisionSplits, rgb
from ..vtab1k.label_rules import smallnorb_azimuth, smallnorb_elevation
from .kept import kept
from .raycast import Camera, Shape, Solid, draw, turned

if TYPE_CHECKING:
    import numpy as np

SEED = 2004  # part of the version
CODE = ("raycast.py", "toys.py")
SIDE = 64
AZIMUTHS, ELEVATIONS, LIGHTS = 18, 9, 6
TOYS = 10
"""Toys of each kind: the first half trains."""
DISTANCE = 6.0
GREY = 0.8

Label = Literal["azimuth", "elevation"]
Part = tuple[Shape, tuple[float, float, float], tuple[float, float, float]]
"""Shape, half-sides and centre, the toy's front along x."""


class Views(NamedTuple):
    """``images`` uint8 (N, S, S), and the factors of each, (N,)."""

    images: "np.ndarray"
    kinds: "np.ndarray"
    toys: "np.ndarray"
    azimuths: "np.ndarray"
    elevations: "np.ndarray"


def toys(label: Label, train: int = 800, val: int = 200, test: int = 2000) -> VisionSplits:
    """Three parts, each from a seed of its own; both labels share the same images, as in VTAB."""
    if label not in get_args(Label):
        raise ValueError(f"label is {label!r}; labels: {', '.join(get_args(Label))}")
    return VisionSplits(*(_labelled(part, count, label) for part, count in enumerate((train, val, test))))


def _labelled(part: int, count: int, label: Label) -> Images:
    import numpy as np

    views = Views(**kept("toys", CODE, lambda part, count: render(part, count)._asdict(), part, count))
    if label == "azimuth":
        labels = [smallnorb_azimuth(number) for number in views.azimuths.tolist()]
    else:
        labels = [smallnorb_elevation(number) for number in views.elevations.tolist()]
    return Images(rgb(views.images), np.array(labels, np.int64))


def render(part: int, count: int) -> Views:
    """The first ``count`` images of a part; part 0 shows the first half of the toys, 1 and 2 the other half."""
    import numpy as np

    images = np.empty((count, SIDE, SIDE), np.uint8)
    factors = np.empty((4, count), np.int64)
    for row in range(count):
        rng = np.random.default_rng((SEED, part, row))
        kind = int(rng.integers(len(KINDS)))
        toy = int(rng.integers(TOYS // 2)) + (TOYS // 2 if part else 0)
        azimuth, elevation, light = (int(rng.integers(size)) for size in (AZIMUTHS, ELEVATIONS, LIGHTS))
        factors[:, row] = kind, toy, azimuth, elevation
        images[row] = view(kind, toy, azimuth, elevation, light)
    return Views(images, *factors)


def view(kind: int, toy: int, azimuth: int, elevation: int, light: int) -> "np.ndarray":
    """One image, uint8 (S, S): azimuth 0, 20, ..., 340 degrees, elevation 30, 35, ..., 70 degrees above the ground."""
    import numpy as np

    rise = np.radians(30 + 5 * elevation)
    target = np.array([0.0, 0.0, 0.45])
    place = target + DISTANCE * np.array([0.0, -np.cos(rise), np.sin(rise)])
    side = np.radians(60 * light)
    sun = np.array([np.cos(side), np.sin(side), 1.2])
    camera = Camera(place=place, target=target, width=0.38)
    solids = _turned_toy(kind, toy, 20.0 * azimuth)
    return draw(solids, camera, sun, SIDE, ground=np.full(3, 0.55))[..., 0]


def _turned_toy(kind: int, toy: int, degrees: float) -> list[Solid]:
    """The parts of a toy, turned about z."""
    import numpy as np

    turn = turned(degrees, np.ones(3))
    solids = []
    for shape, half, centre in KINDS[kind](_Proportions(kind, toy)):
        placing = turn @ np.diag(half)
        solids.append(Solid(shape=shape, placing=placing, centre=turn @ np.array(centre), colour=np.full(3, GREY)))
    return solids


class _Proportions:
    """The lengths of one toy: each is asked for once, and is the same at every call."""

    def __init__(self, kind: int, toy: int) -> None:
        import numpy as np

        self._rng = np.random.default_rng((SEED, 7, kind, toy))

    def __call__(self, usual: float, spread: float = 0.25) -> float:
        """A length around the usual one."""
        return usual * self._rng.uniform(1 - spread, 1 + spread)


def _animal(length: _Proportions) -> list[Part]:
    body, wide, leg = length(0.55), length(0.22), length(0.22)
    head, tail = length(0.19), length(0.2, 0.5)
    top = 2 * leg + wide
    parts: list[Part] = [("sphere", (body, wide, wide), (0.0, 0.0, top))]
    parts.append(("sphere", (head, head * 0.8, head), (body + head * 0.5, 0.0, top + wide + head * 0.4)))
    parts.append(("box", (tail, 0.04, 0.04), (-body - tail * 0.6, 0.0, top + wide * 0.3)))
    for x in (-0.6, 0.6):
        for y in (-0.6, 0.6):
            parts.append(("cylinder", (0.06, 0.06, leg), (x * body, y * wide, leg)))
    return parts


def _human(length: _Proportions) -> list[Part]:
    leg, trunk, wide, head, arm = length(0.3), length(0.3), length(0.2), length(0.15), length(0.3)
    shoulder = 2 * leg + 2 * trunk
    parts: list[Part] = [("box", (wide * 0.55, wide, trunk), (0.0, 0.0, 2 * leg + trunk))]
    parts.append(("sphere", (head, head, head), (0.03, 0.0, shoulder + head)))
    parts.append(("sphere", (head * 0.4, head * 0.3, head * 0.3), (head, 0.0, shoulder + head)))
    for y in (-1, 1):
        parts.append(("cylinder", (0.07, 0.07, leg), (0.0, y * wide * 0.55, leg)))
        parts.append(("box", (arm, 0.05, 0.05), (arm * 0.9, y * (wide + 0.06), shoulder - 0.08)))
    return parts


def _aeroplane(length: _Proportions) -> list[Part]:
    body, wide, span, chord, fin = length(0.75), length(0.14), length(0.75), length(0.17), length(0.2)
    height = 0.45
    return [
        ("sphere", (body, wide, wide), (0.0, 0.0, height)),
        ("box", (chord, span, 0.03), (0.1, 0.0, height)),
        ("box", (chord * 0.6, span * 0.4, 0.03), (-body * 0.85, 0.0, height + 0.05)),
        ("box", (chord * 0.6, 0.03, fin), (-body * 0.85, 0.0, height + fin)),
        ("cylinder", (0.05, 0.05, height / 2), (0.2, 0.0, height / 2)),
    ]


def _truck(length: _Proportions) -> list[Part]:
    load, wide, high, cab, wheel = length(0.5), length(0.25), length(0.28), length(0.18), length(0.12)
    front = load + cab
    return [
        ("box", (load, wide, high), (-0.1, 0.0, wheel + high)),
        ("box", (cab, wide * 0.95, high * 0.65), (front - 0.08, 0.0, wheel + high * 0.65)),
        ("sphere", (wheel, 0.07, wheel), (-load * 0.7, wide, wheel)),
        ("sphere", (wheel, 0.07, wheel), (-load * 0.7, -wide, wheel)),
        ("sphere", (wheel, 0.07, wheel), (load * 0.8, wide, wheel)),
        ("sphere", (wheel, 0.07, wheel), (load * 0.8, -wide, wheel)),
    ]


def _car(length: _Proportions) -> list[Part]:
    body, wide, high, roof, wheel = length(0.65), length(0.28), length(0.13), length(0.3), length(0.12)
    top = wheel + 2 * high
    return [
        ("box", (body, wide, high), (0.0, 0.0, wheel + high)),
        ("box", (roof, wide * 0.85, high), (-body * 0.25, 0.0, top + high * 0.9)),
        ("sphere", (wheel, 0.07, wheel), (-body * 0.6, wide, wheel)),
        ("sphere", (wheel, 0.07, wheel), (-body * 0.6, -wide, wheel)),
        ("sphere", (wheel, 0.07, wheel), (body * 0.6, wide, wheel)),
        ("sphere", (wheel, 0.07, wheel), (body * 0.6, -wide, wheel)),
    ]


KINDS: tuple[Callable[[_Proportions], list[Part]], ...] = (_animal, _human, _aeroplane, _truck, _car)
