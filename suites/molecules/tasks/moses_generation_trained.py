"""MOSES after training: a generator, or a sparse form of it, trains for some steps on MOSES, then is drawn from"""

from collections.abc import Sequence

from ..generation.moses import training_part
from ..generation.trained import TrainedGeneration
from .moses_generation import MosesGeneration


class MosesGenerationTrained(TrainedGeneration, MosesGeneration):
    """Trains on MOSES's training part without the 10,000 of `validation_set`; scored as `moses_generation`."""

    version = "1"
    group = "trained generation"
    sources = ("moses", "chemnet")
    gives = TrainedGeneration.gives

    def training_part(self) -> Sequence[str]:
        """1,574,663 molecules."""
        return training_part()
