"""Four properties that a molecule's graph determines: lipophilicity, drug-likeness, ease of synthesis, weight."""

import importlib.util
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Union

from ..errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from rdkit import Chem

PROPERTIES = ("logp", "qed", "sa", "mw")


def properties(molecule: Union["Chem.Mol", str, None]) -> "np.ndarray":
    """The `PROPERTIES` of a molecule or SMILES string, float64 (4,); NaN where it cannot be read, never an exception.

    logp: octanol-water partition coefficient by atom contributions, log10 (Wildman and Crippen, 1999).
    qed: quantitative estimate of drug-likeness, 0 to 1 (Bickerton et al., 2012).
    sa: synthetic accessibility score, 1 (easy) to 10 (hard) (Ertl and Schuffenhauer, 2009), RDKit's contributed code.
    mw: average molecular weight in Da, hydrogens and the natural mix of isotopes included (RDKit's MolWt).
    These are the functions that MOSES (Polykovskiy et al., 2020) takes, though RDKit's versions move some values.
    """
    import numpy as np
    from rdkit import Chem, rdBase
    from rdkit.Chem import QED, rdMolDescriptors

    scorer = _scorer()
    with rdBase.BlockLogs():
        try:
            read = Chem.MolFromSmiles(molecule) if isinstance(molecule, str) else molecule
            if not isinstance(read, Chem.Mol) or read.GetNumAtoms() == 0:
                return np.full(len(PROPERTIES), np.nan)
            logp, _ = rdMolDescriptors.CalcCrippenDescriptors(read)
            mw = rdMolDescriptors._CalcMolWt(read)  # what Descriptors.MolWt is
            values = logp, QED.qed(read), scorer.calculateScore(read), mw
        except (ValueError, RuntimeError):  # RDKit: a molecule that was not sanitised
            return np.full(len(PROPERTIES), np.nan)
    return np.array(values, dtype=np.float64)


@cache
def _scorer() -> ModuleType:
    """The module of RDKit's contributed SA score, loaded from its file: it is no importable package everywhere."""
    from rdkit import RDConfig

    file = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("_rdkit_sascorer", file)
    if spec is None or spec.loader is None or not file.is_file():
        raise DataError(f"this RDKit has no {file}: install the rdkit wheel (pip install rdkit)")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
