"""Bits per byte of random letters from a Markov chain (smoke test only)"""

from typing import Any

from ..._markov import markov_documents
from ...bits_per_byte.task import BitsPerByteTask


class SyntheticText(BitsPerByteTask):
    """Needs no download; its calibration text comes from the same chain."""

    version = "1"
    group = "bits per byte"
    domain = "synthetic"
    calibration_domains = ("synthetic",)

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Documents of one half; the chain knows one domain."""
        return markov_documents(part)
