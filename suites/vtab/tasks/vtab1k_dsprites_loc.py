"""VTAB-1K: dSprites, horizontal position, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class DspritesLoc(VTAB1KTask):
    """16 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 16)
    folder = "dsprites_loc"
