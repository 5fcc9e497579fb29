"""VTAB-1K: Oxford-IIIT Pet, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class OxfordIiitPet(VTAB1KTask):
    """37 classes."""

    version = "1"
    group = "natural"
    sources = ("vtab-1k",)
    target = Target("classification", 37)
    folder = "oxford_iiit_pet"
