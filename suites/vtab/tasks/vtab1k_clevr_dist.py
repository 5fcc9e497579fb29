"""VTAB-1K: CLEVR, distance of the closest object, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class ClevrDist(VTAB1KTask):
    """6 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 6)
    folder = "clevr_dist"
