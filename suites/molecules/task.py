"""The protocol of every molecule task: one table of SMILES and measured values, split by scaffold."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.scaffold import scaffold_split
from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.reports.records.record import Metric

from ..contracts.context import Context
from ..contracts.metrics import Scores
from ..prediction.data import Examples, Splits
from ..prediction.task import PredictionTask, Predictor

SPLIT_SEED = 0
"""Seed of the scaffold balanced split: one split for every cell; the seed of a cell does not change it."""


@dataclass(frozen=True)
class MoleculeTask(PredictionTask):
    """A table with one scaffold balanced split 8:1:1, seed `SPLIT_SEED` = 0: no scaffold is in two parts.

    Scaffolds come in random order, and only those of more than half a test part are sure to be trained on (GROVER, Rong
    et al., arXiv 2007.02835, section 5.2). It is not the deterministic split of Uni-Mol and GEM, which puts the
    rarest scaffolds into the test part: figures of the two are not comparable. Version 1 of the tasks had that one.

    Inputs are SMILES strings, targets (N, T) with NaN for a missing label. RMSE carries the table's unit. Tasks of one
    class and equal fields are equal: their splits are the same.
    """

    @abstractmethod
    def table(self) -> MoleculeTable:
        """All molecules with their targets."""

    def load(self) -> Splits:
        """The three parts; read and split once per process."""
        return _load(self)[0]

    def load_shared(self) -> None:
        """The three parts."""
        self.load()

    def evaluate(self, subject: Predictor, context: Context) -> Scores:
        """As every prediction task, with the physical unit of the target on the RMSE.

        `details` say which fraction of all molecules was refused, if known: they have the features of no molecule.
        """
        scores = super().evaluate(subject, context)
        details = dict(scores.details)
        refused = getattr(subject.data.body, "refused_fraction", None)
        if refused is not None:
            details["refused_fraction"] = refused
        return replace(scores, metrics=_with_unit(scores.metrics, _load(self)[1]), details=details)


@cached_reads()
def _load(task: MoleculeTask) -> tuple[Splits, str]:
    """Splits and unit of a task. The split of B3DB takes seconds, and a worker runs many cells."""
    table = task.table()
    if table.targets.shape[1] != task.target.outputs:
        raise ValueError(f"{table.name} has {table.targets.shape[1]} targets, its task says {task.target.outputs}")

    def part(rows: np.ndarray) -> Examples:
        return Examples([table.smiles[row] for row in rows], table.targets[rows])

    train, val, test = map(part, scaffold_split(table.smiles, balanced=SPLIT_SEED))
    return Splits(train, val, test), table.units[0]


def _with_unit(metrics: Mapping[str, Metric], unit: str) -> dict[str, Metric]:
    """The metrics, with `unit` where they have none."""
    found = dict(metrics)
    for name, metric in metrics.items():
        if not metric.unit:
            found[name] = replace(metric, unit=unit)
    return found
