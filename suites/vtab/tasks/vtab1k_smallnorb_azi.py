"""VTAB-1K: SmallNORB, azimuth, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class SmallnorbAzi(VTAB1KTask):
    """18 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 18)
    folder = "smallnorb_azi"
