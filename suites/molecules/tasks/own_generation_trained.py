"""Your own molecules: a generator, or a sparse form of it, trains on them and writes new ones like others of them

The folder is that of `own_molecules`; of its table only the column of SMILES is read, and one that names parts.
"""

import os
from collections.abc import Sequence
from typing import Any

from sparsebench.data.own.structures import SOURCE, OwnStructures, own_structures
from sparsebench.data.sources import path, source
from sparsebench.models.molecules.chemnet import load_chemnet

from ...contracts.context import Context, LoadBackbone
from ...contracts.method import NotApplicable
from ...contracts.metrics import Scores
from ...contracts.task import Setup
from ..generation.novel import NOVEL_NAMES, score_new
from ..generation.trained import TrainedGeneration
from ..metrics.reference import reference_statistics

CHECKS_DATA = True


class OwnGenerationTrained(TrainedGeneration):
    """Metrics of MOSES against the test part of the user's molecules: a fifth at random, or those that a column names.

    FCD depends on the number of test molecules as well: compare within one folder. The filters are MOSES's.
    """

    version = "1"
    metric_names = NOVEL_NAMES
    draws = True
    group = "own generation"
    sources = ("own-molecules", "moses", "chemnet")

    def missing(self) -> str | None:
        """Why there is nothing to read, or None."""
        about = source(SOURCE)
        if os.environ.get(about.environment):
            return None
        return f"{about.name} is a folder of yours: set {about.environment} to it; {about.note}"

    def check_data(self) -> None:
        """Read the table, if it is there. Raises `DataError` for what is wrong with it."""
        if self.missing() is None:
            self.molecules()

    def molecules(self) -> OwnStructures:
        """Both parts, read once for each content. Raises `NotApplicable` without a folder."""
        reason = self.missing()
        if reason is not None:
            raise NotApplicable(reason)
        return own_structures()

    def load_shared(self) -> None:
        """The molecules."""
        self.check_data()

    def training_set(self) -> Sequence[str]:
        """Those of the training part, canonical."""
        return self.molecules().train

    def training_part(self) -> Sequence[str]:
        """The same."""
        return self.molecules().train

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """As of every such task; the record says what became of the rows."""
        found = self.molecules()
        counts = {"train": len(found.train), "test": len(found.test), "rejected": len(found.rejected)}
        context.note("own data", counts)
        return super().build(load_backbone, context)

    def evaluate(self, subject: Any, context: Context) -> Scores:
        """See `score_new`."""
        chemnet = load_chemnet(path("chemnet", "weights"))
        return score_new(self, subject, context, reference_statistics(self.molecules().test, chemnet))
