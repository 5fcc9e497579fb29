"""Random molecules built in code, target Crippen logP; smoke test only."""

import numpy as np

from sparsebench.data.molecules.table import MoleculeTable, build_table

from ...contracts.context import Target
from ..synthetic_molecules import synthetic_molecules
from ..task import MoleculeTask


class Synthetic(MoleculeTask):
    """Chains of 3 to 7 pieces, always the same; the target is computable, so a model that works must learn it."""

    version = "3"
    group = "smoke test"
    target = Target("regression", 1)

    def table(self) -> MoleculeTable:
        """Different molecules with their Wildman-Crippen logP, without a unit."""
        from rdkit.Chem import Crippen, MolFromSmiles

        smiles = list(synthetic_molecules())
        values = [Crippen.MolLogP(MolFromSmiles(text)) for text in smiles]  # type: ignore[attr-defined]
        return build_table("synthetic", smiles, np.array(values)[:, None], "regression", ["logP"], [""])
