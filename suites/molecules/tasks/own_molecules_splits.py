"""Your own molecules over several splits by scaffold, one for each seed: how far does a result hang on the split?"""

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from sparsebench.data.errors import TableError
from sparsebench.data.own.labelled import dealt_again

from ...contracts.context import Context, LoadBackbone
from ...contracts.method import Method, NotApplicable
from ...contracts.task import Outcome
from ...prediction.data import Splits
from ..task import split_size
from .own_molecules import OwnMolecules

CHECKS_DATA = True


class OwnMoleculesSplits(OwnMolecules):
    """As `own_molecules`, whose split is that of seed 0; seed s has the s-th one, with the same three fractions.

    A table that names its parts has no other split: not applicable.
    """

    version = "2"
    group = "own"
    sources = ("own-molecules",)
    splits_by_seed: ClassVar[bool] = True

    def parts_of(self, context: Context) -> Splits:
        """The parts of the cell's seed. Raises `NotApplicable` where there is no such split."""
        try:
            return self.splits_of(dealt_again(self.table(), context.seed))
        except TableError as error:
            raise NotApplicable(str(error)) from error

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As of `own_molecules`, with the size of the split."""
        outcome = super().run(chain, load_backbone, context)
        return replace(outcome, split=split_size(self.parts_of(context), context))
