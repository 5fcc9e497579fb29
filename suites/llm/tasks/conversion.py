"""Training after a conversion on seven text domains; how far the model is from the backbone; four sets of questions"""

from ..training.compared import ComparedTask
from .pretraining_domains import PretrainingDomains


class Conversion(ComparedTask):
    """The text and the questions of `pretraining_domains`. A row that trains nothing is scored as it was converted."""

    version = "1"
    group = "conversion"
    sources = PretrainingDomains.sources
    domains = PretrainingDomains.domains
    questions = PretrainingDomains.questions
