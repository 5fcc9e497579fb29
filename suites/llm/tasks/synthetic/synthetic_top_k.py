"""Bits per byte of random letters against the experts that a token gets (smoke test only)"""

from typing import Any

from ..._markov import markov_documents
from ...bits_per_byte.top_k_task import TopKTask


class SyntheticTopK(TopKTask):
    """Needs no download."""

    version = "1"
    group = "bits per byte"
    domain = "synthetic"
    calibration_domains = ("synthetic",)

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Documents of one half; the chain knows one domain."""
        return markov_documents(part)
