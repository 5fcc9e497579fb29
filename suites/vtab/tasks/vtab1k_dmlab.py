"""VTAB-1K: DMLab, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Dmlab(VTAB1KTask):
    """6 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 6)
    folder = "dmlab"
