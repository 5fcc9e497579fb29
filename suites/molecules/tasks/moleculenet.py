"""Ten sets of MoleculeNet (Wu et al., arXiv 1703.00564), from your own folder"""

from dataclasses import dataclass
from typing import Literal

from sparsebench.data.molecules.table import MoleculeTable
from sparsebench.data.molecules.tables import moleculenet

from ...contracts.context import Target
from ..task import MoleculeTask

# `file` is the name of the set in the folder. A cell takes minutes on HIV (41,127 molecules) and MUV (93,087).
COLUMNS = ("name", "file", "group", "kind", "outputs", "caption")
ROWS = (
    ("esol", "esol", "physical chemistry", "regression", 1, "MoleculeNet: ESOL, aqueous solubility"),
    ("lipophilicity", "lipop", "physical chemistry", "regression", 1, "MoleculeNet: lipophilicity, log D at pH 7.4"),
    ("bace", "bace", "biophysics", "multilabel", 1, "MoleculeNet: BACE, inhibitors of beta-secretase 1"),
    ("hiv", "hiv", "biophysics", "multilabel", 1, "MoleculeNet: HIV, inhibition of its replication"),
    ("muv", "muv", "biophysics", "multilabel", 17, "MoleculeNet: MUV, 17 screens, labels missing"),
    ("bbbp", "bbbp", "physiology", "multilabel", 1, "MoleculeNet: BBBP, passes the blood-brain barrier"),
    ("clintox", "clintox", "physiology", "multilabel", 2, "MoleculeNet: ClinTox, approval and toxicity"),
    ("sider", "sider", "physiology", "multilabel", 27, "MoleculeNet: SIDER, side effects in 27 organ classes"),
    ("tox21", "tox21", "physiology", "multilabel", 12, "MoleculeNet: Tox21, 12 assays, labels missing"),
    ("toxcast", "toxcast", "physiology", "multilabel", 617, "MoleculeNet: ToxCast, 617 assays, labels missing"),
)


@dataclass(frozen=True, kw_only=True)
class MoleculeNet(MoleculeTask):
    """One row. Raises `LocalFolderError` if the folder (`SPARSEBENCH_MOLECULENET`) is not given or a file is missing,
    `ChecksumError` if one differs."""

    name: str
    file: str
    group: str
    kind: Literal["regression", "multilabel"]
    outputs: int

    version = "3"
    sources = ("moleculenet",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "target", Target(self.kind, self.outputs))

    def table(self) -> MoleculeTable:
        """The file's molecules and values."""
        return moleculenet(self.file)
