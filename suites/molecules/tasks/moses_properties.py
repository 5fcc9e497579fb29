"""Computed properties of small held-out molecules of MOSES: labels for methods that write molecules anew"""

from dataclasses import dataclass

import numpy as np

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.data.molecules.table import MoleculeTable

from ...contracts.context import Target
from ..generation.moses import test_set
from ..task import MoleculeTask

MOLECULES = 1000
ATOMS = 18
"""Heavy atoms at most; a tenth of MOSES's molecules have so few."""
COLUMNS = ("name", "column", "caption")
ROWS = (
    ("moses_logp", "logp", "1,000 molecules of MOSES's test part: Crippen's log P, computed from the graph"),
    ("moses_qed", "qed", "1,000 molecules of MOSES's test part: drug-likeness (QED), computed from the graph"),
)


@dataclass(frozen=True, kw_only=True)
class MosesProperties(MoleculeTask):
    """The first 1,000 with at most 18 heavy atoms, of MOSES's test part in a fixed random order.

    The packaged GraphsGPT gives back nine in ten of so small ones from their words (of all MOSES seven in ten, of
    FreeSolv 3 in 100), so that what it makes of mixed words can be tested on them. As a property task they are easy.
    """

    name: str
    column: str

    version = "1"
    group = "computed properties"
    sources = ("moses",)
    target = Target("regression", 1)

    def table(self) -> MoleculeTable:
        """The molecules with that property."""
        smiles, values = _small_molecules()
        target = values[:, [PROPERTIES.index(self.column)]]
        return MoleculeTable(
            name=self.name,
            smiles=smiles,
            targets=target,
            task_type="regression",
            target_names=(self.column,),
            units=("",),
        )


@cached_reads()
def _small_molecules() -> tuple[list[str], np.ndarray]:
    """The strings, and all `PROPERTIES` of each, (N, P)."""
    from rdkit import Chem

    found: list[str] = []
    for smiles in test_set():
        if len(found) == MOLECULES:
            break
        if Chem.MolFromSmiles(smiles).GetNumHeavyAtoms() <= ATOMS:
            found.append(smiles)
    return found, np.array([properties(smiles) for smiles in found])
