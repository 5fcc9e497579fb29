"""VTAB-1K: EuroSAT, RGB, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Eurosat(VTAB1KTask):
    """10 classes."""

    version = "1"
    group = "specialized"
    sources = ("vtab-1k",)
    target = Target("classification", 10)
    folder = "eurosat"
