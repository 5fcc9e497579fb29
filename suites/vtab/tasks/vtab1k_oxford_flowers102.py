"""VTAB-1K: Oxford Flowers 102, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class OxfordFlowers102(VTAB1KTask):
    """102 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 102)
    folder = "oxford_flowers102"
