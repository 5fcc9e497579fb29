"""VTAB-1K: Diabetic Retinopathy, from your own folder"""

from ...contracts.context import Target
from ..task import VTAB1KTask


class DiabeticRetinopathy(VTAB1KTask):
    """5 classes."""

    version = "1"
    group = "specialized"
    sources = ("vtab-1k",)
    target = Target("classification", 5)
    folder = "diabetic_retinopathy"
