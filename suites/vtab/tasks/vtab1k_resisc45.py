"""VTAB-1K: RESISC45, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Resisc45(VTAB1KTask):
    """45 classes."""

    version = "1"
    group = "specialized"
    sources = ("vtab-1k",)
    target = Target("classification", 45)
    folder = "resisc45"
