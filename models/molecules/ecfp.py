"""Extended-connectivity fingerprints (Rogers and Hahn, J. Chem. Inf. Model. 2010, 50, 742)."""

from collections.abc import Iterable

import numpy as np
import torch
from rdkit.Chem import rdFingerprintGenerator
from torch import Tensor

from .smiles import parse


def ecfp(smiles: Iterable[str], *, radius: int = 2, bits: int = 2048) -> Tensor:
    """Binary fingerprints, float32 (molecules, bits); radius 2 is ECFP4. Raises ValueError on an invalid string."""
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=radius, fpSize=bits)
    rows = [generator.GetFingerprintAsNumPy(molecule) for molecule in parse(smiles)]
    return torch.from_numpy(np.array(rows, dtype=np.float32).reshape(len(rows), bits))
