"""VTAB-1K: dSprites, orientation, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class DspritesOri(VTAB1KTask):
    """16 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 16)
    folder = "dsprites_ori"
