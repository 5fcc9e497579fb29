"""VTAB-1K: SUN397 scenes, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Sun397(VTAB1KTask):
    """397 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 397)
    folder = "sun397"
