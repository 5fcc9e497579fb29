"""VTAB-1K: CIFAR-100, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Cifar(VTAB1KTask):
    """100 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 100)
    folder = "cifar"
