"""A small ray caster: solids of three shapes over a ground plane, one sun, hard shadows of the ground.

Shapes in comments: R rays, 3 coordinates (x and y on the ground, z up).
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import numpy as np

Shape = Literal["sphere", "box", "cylinder"]
FAR = 1e9
ROUNDING = 1e-9
AMBIENT = 0.35
SHADOW = 0.55
"""Share of the light that is left on the ground in a shadow."""


@dataclass(frozen=True, kw_only=True)
class Solid:
    """A unit shape (radius 1, or half-sides 1; a cylinder stands on z) under ``placing`` and a shift to ``centre``.

    ``placing`` is the matrix (3, 3) that scales and turns it; ``colour`` has three values from 0 to 1.
    """

    shape: Shape
    placing: "np.ndarray"
    centre: "np.ndarray"
    colour: "np.ndarray"


@dataclass(frozen=True, kw_only=True)
class Camera:
    """A pinhole at ``place`` that looks at ``target``; ``width`` is the width of the view at distance 1."""

    place: "np.ndarray"
    target: "np.ndarray"
    width: float

    def axes(self) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
        """Unit vectors to the right, up and forwards."""
        import numpy as np

        forwards = _unit(self.target - self.place)
        right = _unit(np.cross(forwards, np.array([0.0, 0.0, 1.0])))
        return right, np.cross(right, forwards), forwards

    def depth(self, point: "np.ndarray") -> float:
        """Distance of a point along the line of sight, as a depth map has it."""
        return float((point - self.place) @ self.axes()[2])


def turned(degrees: float, scale: "np.ndarray") -> "np.ndarray":
    """The matrix that scales along the axes, then turns about z."""
    import numpy as np

    angle = np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]]) @ np.diag(scale)


def draw(
    solids: "list[Solid]", camera: Camera, sun: "np.ndarray", side: int, ground: "np.ndarray | None", samples: int = 2
) -> "np.ndarray":
    """The image, uint8 (side, side, 3), from ``samples`` x ``samples`` rays a pixel.

    ``sun`` points to the light; ``ground`` is the colour of the plane z = 0, None for a plain background.
    """
    import numpy as np

    rays_R3 = _rays(camera, side * samples)
    distance_R, normal_R3, colour_R3 = _nearest(solids, camera.place, rays_R3)
    light = _unit(sun)
    shade_R = AMBIENT + (1 - AMBIENT) * np.maximum(normal_R3 @ light, 0)
    pixels_R3 = colour_R3 * shade_R[:, None]
    free_R = distance_R >= FAR
    pixels_R3[free_R] = 0.75
    if ground is not None:
        _lay_ground(pixels_R3, free_R, rays_R3, camera, solids, light, ground)
    image = pixels_R3.reshape(side, samples, side, samples, 3).mean((1, 3))
    return (image.clip(0, 1) * 255).round().astype(np.uint8)


def _rays(camera: Camera, count: int) -> "np.ndarray":
    """Unit directions (count * count, 3), row by row from the upper left."""
    import numpy as np

    right, up, forwards = camera.axes()
    offsets = ((np.arange(count) + 0.5) / count - 0.5) * camera.width
    down, across = np.meshgrid(-offsets, offsets, indexing="ij")
    rays = forwards + across.reshape(-1, 1) * right + down.reshape(-1, 1) * up
    return rays / np.linalg.norm(rays, axis=1, keepdims=True)


def _nearest(
    solids: "list[Solid]", start: "np.ndarray", rays: "np.ndarray"
) -> "tuple[np.ndarray, np.ndarray, np.ndarray]":
    """Distance (FAR where nothing is hit), normal and colour of the first solid along each ray.

    Rays may have one start in common, or one direction: then it is given once.
    """
    import numpy as np

    start_R3, rays_R3 = np.broadcast_arrays(start, rays)
    start_squared = np.square(start).sum(-1)
    start_along = (start * rays).sum(-1)
    distance_R = np.full(len(rays_R3), FAR)
    normal_R3 = np.zeros(rays_R3.shape)
    colour_R3 = np.zeros(rays_R3.shape)
    for solid in solids:
        near_R = np.flatnonzero(_passes(solid, start, rays, start_squared, start_along))
        found_R, own_R3 = _hit(solid, start_R3[near_R], rays_R3[near_R])
        closer_R = found_R < distance_R[near_R]
        rows_R = near_R[closer_R]
        distance_R[rows_R] = found_R[closer_R]
        # Normals go over with the transposed inverse; for the rows here that is a product from the right.
        across_R3 = own_R3[closer_R] @ np.linalg.inv(solid.placing)
        normal_R3[rows_R] = across_R3 / np.linalg.norm(across_R3, axis=1, keepdims=True)
        colour_R3[rows_R] = solid.colour
    return distance_R, normal_R3, colour_R3


def _passes(solid: Solid, start: "np.ndarray", rays: "np.ndarray", start_squared: Any, start_along: Any) -> Any:
    """Which rays meet a sphere around the solid: only these are worth a closer look, and they are few.

    The squared distance of a centre c from the line s + t r is |c - s|^2 - ((c - s) . r)^2, here multiplied out, so
    that what does not depend on the solid is computed once.
    """
    import numpy as np

    centre = solid.centre
    radius = np.linalg.norm(solid.placing, 2) * np.sqrt(3)  # of the corners of the box
    to_squared = start_squared - 2 * (start @ centre) + centre @ centre
    along = rays @ centre - start_along
    return to_squared - along**2 <= radius**2 + ROUNDING


def _hit(solid: Solid, start_R3: "np.ndarray", rays_R3: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """Distances along the rays (FAR for a miss), and normals in the frame of the unit shape."""
    import numpy as np

    inverse = np.linalg.inv(solid.placing).T
    origin_R3 = (start_R3 - solid.centre) @ inverse
    along_R3 = rays_R3 @ inverse  # not of unit length, so that distances stay those of the ray
    with np.errstate(divide="ignore", invalid="ignore"):
        if solid.shape == "sphere":
            return _hit_sphere(origin_R3, along_R3)
        if solid.shape == "box":
            return _hit_box(origin_R3, along_R3)
        return _hit_cylinder(origin_R3, along_R3)


def _hit_sphere(origin_R3: "np.ndarray", along_R3: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    distance_R = _first_root(origin_R3, along_R3)
    return distance_R, origin_R3 + distance_R[:, None] * along_R3


def _hit_box(origin_R3: "np.ndarray", along_R3: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """The slab method: inside all three pairs of planes at once."""
    import numpy as np

    one_R3 = (-1 - origin_R3) / along_R3
    other_R3 = (1 - origin_R3) / along_R3
    entry_R3 = np.minimum(one_R3, other_R3)
    entry_R = entry_R3.max(1)
    exit_R = np.maximum(one_R3, other_R3).min(1)
    missed_R = ~((entry_R <= exit_R) & (entry_R > 0))
    axis_R = entry_R3.argmax(1)
    rows = np.arange(len(axis_R))
    normal_R3 = np.zeros_like(origin_R3)
    normal_R3[rows, axis_R] = -np.sign(along_R3[rows, axis_R])
    return np.where(missed_R, FAR, entry_R), normal_R3


def _hit_cylinder(origin_R3: "np.ndarray", along_R3: "np.ndarray") -> "tuple[np.ndarray, np.ndarray]":
    """The wall x^2 + y^2 = 1 between z = -1 and 1, or one of the two lids."""
    import numpy as np

    wall_R = _first_root(origin_R3[:, :2], along_R3[:, :2])
    height_R = origin_R3[:, 2] + wall_R * along_R3[:, 2]
    wall_R = np.where(np.abs(height_R) <= 1, wall_R, FAR)
    facing_R = -np.sign(along_R3[:, 2])
    lid_R = (facing_R - origin_R3[:, 2]) / along_R3[:, 2]
    place_R2 = origin_R3[:, :2] + lid_R[:, None] * along_R3[:, :2]
    on_lid_R = (lid_R > 0) & (np.square(place_R2).sum(1) <= 1)
    lid_R = np.where(on_lid_R, lid_R, FAR)
    on_wall_R = wall_R < lid_R
    point_R2 = origin_R3[:, :2] + wall_R[:, None] * along_R3[:, :2]
    normal_R3 = np.zeros_like(origin_R3)
    normal_R3[:, :2] = np.where(on_wall_R[:, None], point_R2, 0)
    normal_R3[:, 2] = np.where(on_wall_R, 0, facing_R)
    return np.minimum(wall_R, lid_R), normal_R3


def _first_root(origin: "np.ndarray", along: "np.ndarray") -> "np.ndarray":
    """The smaller positive t with |origin + t * along| = 1, FAR where there is none."""
    import numpy as np

    a = np.square(along).sum(1)
    b = (origin * along).sum(1)
    c = np.square(origin).sum(1) - 1
    inside = b * b - a * c
    root = (-b - np.sqrt(np.maximum(inside, 0))) / a
    return np.where((inside > 0) & (root > 0), root, FAR)


def _lay_ground(
    pixels_R3: "np.ndarray",
    free_R: "np.ndarray",
    rays_R3: "np.ndarray",
    camera: Camera,
    solids: "list[Solid]",
    light: "np.ndarray",
    ground: "np.ndarray",
) -> None:
    """Colour the rays that meet nothing but the plane z = 0, darker where a solid stands before the sun."""
    import numpy as np

    rows = np.flatnonzero(free_R & (rays_R3[:, 2] < -1e-6))
    reach = -camera.place[2] / rays_R3[rows, 2]
    points = camera.place + reach[:, None] * rays_R3[rows]
    blocked, _, _ = _nearest(solids, points + 1e-6 * light, light)
    lit = (AMBIENT + (1 - AMBIENT) * light[2]) * np.where(blocked < FAR, SHADOW, 1.0)
    pixels_R3[rows] = ground * lit[:, None]


def _unit(vector: "np.ndarray") -> "np.ndarray":
    import numpy as np

    return vector / np.linalg.norm(vector)
