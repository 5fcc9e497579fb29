"""Extended-connectivity fingerprints."""

import torch

from sparsebench.models.molecules.ecfp import ecfp

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F"]


def test_ecfp() -> None:
    fingerprints = ecfp(SMILES)
    assert fingerprints.shape == (6, 2048) and fingerprints.dtype == torch.float32
    assert set(fingerprints.unique().tolist()) == {0.0, 1.0}
    assert fingerprints[0].sum() == 1 and fingerprints[2].sum() == 3  # methane; benzene: one bit per radius
    assert torch.equal(ecfp(["OCC"]), ecfp(["CCO"]))
    assert ecfp([]).shape == (0, 2048) and ecfp(["CCO"], bits=512).shape == (1, 512)
