"""VTAB-1K: KITTI, distance of the closest vehicle, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Kitti(VTAB1KTask):
    """4 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 4)
    folder = "kitti"
