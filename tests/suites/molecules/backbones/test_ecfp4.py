"""ECFP4 as features."""

import torch
from torch import Tensor

from sparsebench.models.molecules.smiles import parse
from sparsebench.suites.molecules.backbones import ecfp4
from sparsebench.suites.molecules.metrics.fingerprints import morgan

from ..bodies import features, generator

SMILES = ["C", "CCO", "c1ccccc1", "C[C@H](N)C(=O)O", "[Na+].[Cl-]", "F/C=C/F"]


def ecfp(smiles: list[str], bits: int = 2048) -> Tensor:
    return torch.from_numpy(morgan(parse(smiles), bits)).float()


def test_ecfp4_gives_the_fingerprints():
    torch.testing.assert_close(features(ecfp4.load(generator()), SMILES), ecfp(SMILES))


def test_ecfp() -> None:
    fingerprints = features(ecfp4.load(generator()), SMILES)
    assert fingerprints.shape == (6, 2048) and fingerprints.dtype == torch.float32
    assert set(fingerprints.unique().tolist()) == {0.0, 1.0}
    assert fingerprints[0].sum() == 1 and fingerprints[2].sum() == 3  # methane; benzene: one bit per radius
    assert torch.equal(ecfp(["OCC"]), ecfp(["CCO"]))
    assert ecfp([]).shape == (0, 2048) and ecfp(["CCO"], bits=512).shape == (1, 512)


def test_counts_say_how_often_and_bits_whether() -> None:
    counts = features(ecfp4.load(generator(), "counts"), ["CCCCCC", *SMILES])
    bits = features(ecfp4.load(generator()), ["CCCCCC", *SMILES])
    assert torch.equal((counts > 0).float(), bits)
    assert counts[0].max() == 4, "four methylene groups in hexane"
    assert counts[3].sum() == 18 and counts[3].max() == 6, "benzene: six atoms, at each radius of 0 to 2"
