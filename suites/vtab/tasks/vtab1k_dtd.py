"""VTAB-1K: DTD textures, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Dtd(VTAB1KTask):
    """47 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 47)
    folder = "dtd"
