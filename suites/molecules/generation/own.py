"""Generators that train on molecules of the user's own, and are compared with others of them."""

from collections.abc import Sequence
from typing import Any

from sparsebench.data.own.named_folders import not_named
from sparsebench.data.own.structures import SOURCE, OwnStructures, own_structures
from sparsebench.data.sources import path
from sparsebench.models.molecules.chemnet import load_chemnet

from ...contracts.context import Context, LoadBackbone
from ...contracts.method import NotApplicable
from ...contracts.metrics import Scores
from ...contracts.task import Setup
from ..metrics.reference import reference_statistics
from .novel import score_new
from .trained import TrainedGeneration


class OwnGeneration(TrainedGeneration):
    """Base of the task on the folder that `SPARSEBENCH_OWN_MOLECULES` names; `details["own data"]` counts its rows."""

    def missing(self) -> str | None:
        """Why there is nothing to read, or None."""
        return not_named(SOURCE)

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
