"""VTAB-1K: CLEVR, number of objects, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class ClevrCount(VTAB1KTask):
    """8 classes."""

    version = "1"
    group = "structured"
    sources = ("vtab-1k",)
    target = Target("classification", 8)
    folder = "clevr_count"
