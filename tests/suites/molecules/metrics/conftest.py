"""Molecules for the generation metrics: real, varied, and some of them odd."""

from pathlib import Path
from typing import Any

import pytest
from rdkit import Chem, RDConfig, rdBase


@pytest.fixture(scope="session")
def molecules() -> list[Chem.Mol]:
    """300 molecules of the NCI file that RDKit ships: salts, metals, charges and large rings among them."""
    lines = (Path(RDConfig.RDDataDir) / "NCI" / "first_5K.smi").read_text().splitlines()
    with rdBase.BlockLogs():
        read = (Chem.MolFromSmiles(line.split()[0]) for line in lines[:2000:6])
        return [molecule for molecule in read if molecule is not None and molecule.GetNumAtoms()][:300]


@pytest.fixture(scope="session")
def packaged() -> dict[str, Any]:
    """MOSES's statistics of its test set, read once; only for tests marked `data`."""
    from sparsebench.data.molecules.moses import moses_statistics

    return moses_statistics("test")
