"""VTAB-1K: Patch Camelyon, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class PatchCamelyon(VTAB1KTask):
    """2 classes."""

    version = "1"
    group = "specialized"
    sources = ("vtab-1k",)
    target = Target("classification", 2)
    folder = "patch_camelyon"
