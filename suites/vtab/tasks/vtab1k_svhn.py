"""VTAB-1K: SVHN, cropped, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class Svhn(VTAB1KTask):
    """10 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 10)
    folder = "svhn"
