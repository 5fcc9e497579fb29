"""The protocol of every molecule task: one table of SMILES and measured values, split by scaffold."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.scaffold import deal_groups, scaffold_groups
from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.reports.records.record import Metric

from ..contracts.context import Context, LoadBackbone
from ..contracts.method import Method
from ..contracts.metrics import Scores
from ..contracts.task import Outcome, SplitSize
from ..prediction.data import Examples, Splits
from ..prediction.task import PredictionTask, Predictor


@dataclass(frozen=True)
class MoleculeTask(PredictionTask):
    """A table with a scaffold balanced split 8:1:1 for each seed of the cells: no scaffold is in two parts of a split.

    Seed s trains and is scored on the split of seed s, whatever the row, so that rows are compared split by split, and
    five seeds show five splits: one split alone decides too much (the constant guess on FreeSolv has an RMSE of 3.2 to
    6.7 kcal/mol on five of them). `reports/statistics/estimates.py` says how far splits of one table are samples.
    Version 2 of the tasks had the split of seed 0 for every seed.

    Scaffolds come in random order, and only those of more than half a test part are sure to be trained on (GROVER, Rong
    et al., arXiv 2007.02835, section 5.2). It is not the deterministic split of Uni-Mol and GEM, which puts the
    rarest scaffolds into the test part: figures of the two are not comparable. Version 1 of the tasks had that one.

    Inputs are SMILES strings, targets (N, T) with NaN for a missing label. RMSE carries the table's unit. Tasks of one
    class and equal fields are equal: their splits are the same.
    """

    splits_by_seed: ClassVar[bool] = True
    ordered_test: ClassVar[bool] = True  # that of the table, which is often one source after the other

    @abstractmethod
    def table(self) -> MoleculeTable:
        """All molecules with their targets."""

    def load(self) -> Splits:
        """The three parts of seed 0."""
        return _split(self, 0)

    def parts_of(self, context: Context) -> Splits:
        """The three parts of the cell's seed; read and split once per process."""
        return _split(self, context.seed)

    def load_shared(self) -> None:
        """The molecules by scaffold."""
        _read(self)

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As every prediction task, with the size of the split."""
        outcome = super().run(chain, load_backbone, context)
        return replace(outcome, split=split_size(self.parts_of(context), context))

    def evaluate(self, subject: Predictor, context: Context) -> Scores:
        """As every prediction task, with the physical unit of the target on the RMSE.

        `details` say which fraction of all molecules was refused, if known: they have the features of no molecule.
        """
        scores = super().evaluate(subject, context)
        details = dict(scores.details)
        refused = getattr(subject.data.body, "refused_fraction", None)
        if refused is not None:
            details["refused_fraction"] = refused
        return replace(scores, metrics=_with_unit(scores.metrics, _read(self)[0].units[0]), details=details)


def split_size(parts: Splits, context: Context) -> SplitSize:
    """How many examples a split has, and how many of them a cell scores.

    Args:
        parts: the split that the seed of the cell chose.
        context: of the cell.

    Returns:
        Both numbers.
    """
    rows = sum(len(part.targets) for part in (parts.train, parts.val, parts.test))
    return SplitSize(rows, len(parts.test.targets[: context.budget.test_examples]))


@cached_reads()
def _read(task: MoleculeTask) -> tuple[MoleculeTable, list[list[int]]]:
    """A task's table, and its rows by scaffold, which takes seconds for B3DB, and a worker runs many cells."""
    table = task.table()
    if table.targets.shape[1] != task.target.outputs:
        raise ValueError(f"{table.name} has {table.targets.shape[1]} targets, its task says {task.target.outputs}")
    return table, scaffold_groups(table.smiles)


@cached_reads(maxsize=16)
def _split(task: MoleculeTask, seed: int) -> Splits:
    table, groups = _read(task)

    def part(rows: np.ndarray) -> Examples:
        return Examples([table.smiles[row] for row in rows], table.targets[rows])

    train, val, test = map(part, deal_groups(groups, balanced=seed))
    return Splits(train, val, test)


def _with_unit(metrics: Mapping[str, Metric], unit: str) -> dict[str, Metric]:
    """The metrics, with `unit` where they have none."""
    found = dict(metrics)
    for name, metric in metrics.items():
        if not metric.unit:
            found[name] = replace(metric, unit=unit)
    return found
