"""Random molecules built in code, target Crippen logP; smoke test only."""

import numpy as np

from sparsebench.data.molecules.table import MoleculeTable, build_table

from ...context import Target
from ..task import MoleculeTask

COUNT = 240
PIECES = ("C", "CO", "CN", "C(=O)", "C(C)", "C(F)", "C(O)", "C1CC(C1)", "C1CCC(CC1)", "c1ccc(cc1)", "c1ccc(nc1)")


class Synthetic(MoleculeTask):
    """Chains of 3 to 7 pieces, always the same; the target is computable, so a model that works must learn it."""

    version = "2"
    group = "smoke test"
    target = Target("regression", 1)

    def table(self) -> MoleculeTable:
        """Different molecules with their Wildman-Crippen logP, without a unit."""
        from rdkit.Chem import Crippen, MolFromSmiles

        generator = np.random.default_rng(0)
        smiles: dict[str, None] = {}
        while len(smiles) < COUNT:
            chosen = generator.choice(PIECES, size=generator.integers(3, 8))
            smiles["C" + "".join(chosen) + "C"] = None
        targets = np.array([[Crippen.MolLogP(MolFromSmiles(text))] for text in smiles])  # type: ignore[attr-defined]
        return build_table("synthetic", list(smiles), targets, "regression", ["logP"], [""])
