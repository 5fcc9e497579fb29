"""The protocol of every molecule task: one table of SMILES and measured values, split by scaffold."""

import functools
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from sparsebench.data.molecules.scaffold import scaffold_split
from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.data.molecules.tables import moleculenet
from sparsebench.reports.record import Metric

from ..context import Context
from ..method import Method
from ..prediction import Examples, PredictionTask, Splits
from ..task import LoadBackbone, Outcome


class MoleculeTask(PredictionTask):
    """A table with the deterministic scaffold split 8:1:1 (the largest scaffolds train, the rare ones test).

    Inputs are SMILES strings, targets (N, T) with NaN for a missing label. RMSE carries the table's unit.
    """

    @abstractmethod
    def table(self) -> MoleculeTable:
        """All molecules with their targets."""

    def load(self) -> Splits:
        """The three parts; read and split once per process."""
        return _load(type(self))[0]

    def run(self, method: Method, load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As every prediction task, with the physical unit of the target on the RMSE."""
        outcome = super().run(method, load_backbone, context)
        outcome.metrics = _with_unit(outcome.metrics, _load(type(self))[1])
        return outcome


class MoleculeNetTask(MoleculeTask):
    """A MoleculeNet set (Wu et al., 2018) from the user's folder, `SPARSEBENCH_MOLECULENET`; `key` names the set."""

    key: ClassVar[str]

    def table(self) -> MoleculeTable:
        """Raises `LocalFolderError` if the folder is not given or a file is missing, `ChecksumError` if one differs."""
        return moleculenet(self.key)


@functools.cache
def _load(task: type[MoleculeTask]) -> tuple[Splits, str]:
    """Splits and unit of a task. The split of B3DB takes seconds, and a worker runs many cells."""
    table = task().table()
    if table.targets.shape[1] != task.target.outputs:
        raise ValueError(f"{table.name} has {table.targets.shape[1]} targets, its task says {task.target.outputs}")

    def part(rows: np.ndarray) -> Examples:
        return Examples([table.smiles[row] for row in rows], table.targets[rows])

    train, val, test = map(part, scaffold_split(table.smiles))
    return Splits(train, val, test), table.units[0]


def _with_unit(metrics: Mapping[str, Metric], unit: str) -> dict[str, Metric]:
    return {name: metric if metric.unit else replace(metric, unit=unit) for name, metric in metrics.items()}
