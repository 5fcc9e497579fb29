"""The ray caster against geometry that is known in closed form."""

import numpy as np
import pytest

from sparsebench.data.vision.scenes import raycast
from sparsebench.data.vision.scenes.raycast import FAR, Camera, Shape, Solid, draw, turned

CAMERA = Camera(place=np.array([0.0, -5.0, 0.0]), target=np.zeros(3), width=1.0)
RED = np.array([1.0, 0.0, 0.0])


def solid(shape: Shape, scale: float = 1.0, centre: tuple[float, float, float] = (0, 0, 0), turn: float = 0) -> Solid:
    return Solid(shape=shape, placing=turned(turn, np.full(3, scale)), centre=np.array(centre, float), colour=RED)


def shoot(body: Solid, start: tuple[float, float, float], along: tuple[float, float, float]):
    found = raycast._nearest([body], np.array([start], float), np.array([along], float))
    distance, normal, _ = found
    return distance[0], normal[0]


@pytest.mark.parametrize(
    ("shape", "start", "along", "distance", "normal"),
    [
        ("sphere", (0, -5, 0), (0, 1, 0), 4, (0, -1, 0)),
        ("sphere", (0, 0, 9), (0, 0, -1), 8, (0, 0, 1)),
        ("box", (0.3, -5, -0.2), (0, 1, 0), 4, (0, -1, 0)),
        ("box", (7, 0.5, 0.5), (-1, 0, 0), 6, (1, 0, 0)),
        ("cylinder", (0, -5, 0.5), (0, 1, 0), 4, (0, -1, 0)),
        ("cylinder", (0.2, 0.1, 5), (0, 0, -1), 4, (0, 0, 1)),
        ("cylinder", (0.2, 0.1, -5), (0, 0, 1), 4, (0, 0, -1)),
    ],
)
def test_distance_and_normal(shape: Shape, start, along, distance: float, normal) -> None:
    found, direction = shoot(solid(shape), start, along)
    assert found == pytest.approx(distance)
    assert direction == pytest.approx(normal, abs=1e-12)


@pytest.mark.parametrize(
    ("shape", "start", "along"),
    [
        ("sphere", (1.01, -5, 0), (0, 1, 0)),
        ("sphere", (0, 5, 0), (0, 1, 0)),
        ("box", (1.01, -5, 0), (0, 1, 0)),
        ("box", (0, 5, 0), (0, 1, 0)),
        ("cylinder", (0, -5, 1.01), (0, 1, 0)),
        ("cylinder", (0.8, 0.8, 5), (0, 0, -1)),
    ],
)
def test_misses(shape: Shape, start, along) -> None:
    assert shoot(solid(shape), start, along)[0] == FAR


def test_a_scaled_solid_has_the_normal_of_its_surface() -> None:
    """Of the ellipsoid x^2 / 4 + y^2 + z^2 = 1 at (sqrt 2, - sqrt 1/2, 0): (x / 4, y, z), normalised."""
    body = Solid(shape="sphere", placing=np.diag([2.0, 1, 1]), centre=np.zeros(3), colour=RED)
    distance, normal = shoot(body, (np.sqrt(2), -5, 0), (0, 1, 0))
    assert distance == pytest.approx(5 - np.sqrt(0.5))
    expected = np.array([np.sqrt(2) / 4, -np.sqrt(0.5), 0])
    assert normal == pytest.approx(expected / np.linalg.norm(expected))


def test_turning_a_box_by_45_degrees_shows_its_edge() -> None:
    assert shoot(solid("box", turn=45), (0, -5, 0), (0, 1, 0))[0] == pytest.approx(5 - np.sqrt(2), abs=1e-6)


@pytest.mark.parametrize("shape", ["sphere", "box", "cylinder"])
def test_the_sphere_around_a_solid_leaves_nothing_out(shape: Shape) -> None:
    """Against a slow reference that looks at every ray."""
    rng = np.random.default_rng(0)
    start = rng.normal(size=(4000, 3)) * 3
    along = rng.normal(size=(4000, 3))
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    body = Solid(shape=shape, placing=turned(30, np.array([0.5, 1, 2])), centre=np.array([0.3, 0.2, 0.1]), colour=RED)
    slow, _ = raycast._hit(body, start, along)
    fast, _, _ = raycast._nearest([body], start, along)
    assert (slow < FAR).sum() > 50
    assert (np.minimum(slow, FAR) == fast).all()


def test_the_image_of_a_sphere_is_a_disc_of_the_right_size() -> None:
    image = draw([solid("sphere")], CAMERA, np.array([0.0, -1, 1]), 100, ground=None)
    red = image[..., 0].astype(int) - image[..., 1] > 20
    tangent = 1 / np.sqrt(24)  # of the angle under which a sphere of radius 1 is seen from 5 away
    assert red.sum() == pytest.approx(np.pi * (100 * tangent) ** 2, rel=0.05), "pixels of its border are red in part"
    assert red[50, 50] and not red[5, 5]


def test_the_nearer_solid_hides_the_farther() -> None:
    blue = Solid(shape="box", placing=np.eye(3) * 2, centre=np.array([0.0, 5, 0]), colour=np.array([0.0, 0, 1]))
    for order in ([solid("sphere", 0.3), blue], [blue, solid("sphere", 0.3)]):
        image = draw(order, CAMERA, np.array([0.0, -1, 1]), 40, ground=None)
        assert image[20, 20, 0] > image[20, 20, 2] and image[14, 14, 2] > image[14, 14, 0]


def test_a_shadow_lies_on_the_ground_away_from_the_sun() -> None:
    camera = Camera(place=np.array([0.0, -6, 6]), target=np.zeros(3), width=1.0)
    ball = solid("sphere", 0.5, (0, 0, 0.5))
    image = draw([ball], camera, np.array([1.0, 0, 1]), 60, ground=np.full(3, 0.7))[..., 1].astype(int)
    grey = image[30]
    assert grey[24] < grey[36] - 30, "dark on the left, since the sun stands on the right"
    assert grey[2] == grey[57] == grey[36]


def test_depth_is_along_the_line_of_sight() -> None:
    assert CAMERA.depth(np.array([3.0, 2, 1])) == pytest.approx(7)
