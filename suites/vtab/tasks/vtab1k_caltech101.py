"""VTAB-1K: Caltech101 (101 + background), from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Caltech101(VTAB1KTask):
    """102 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 102)
    folder = "caltech101"
