"""VTAB-1K: SmallNORB, elevation, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class SmallnorbEle(VTAB1KTask):
    """9 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 9)
    folder = "smallnorb_ele"
