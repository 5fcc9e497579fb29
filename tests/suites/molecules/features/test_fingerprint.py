"""ECFP4 as features."""

import torch
from torch import Tensor

from sparsebench.models.molecules.ecfp import ecfp
from sparsebench.suites.molecules.backbones import ecfp4
from sparsebench.suites.prediction.feature_extractor import FeatureExtractor

SMILES = ["CCO", "c1ccccc1O", "CC(=O)N", "C"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def features(body: FeatureExtractor, smiles: list[str]) -> Tensor:
    return body.eval()(body.collate(list(body.encode(smiles))))


def test_ecfp4_gives_the_fingerprints():
    torch.testing.assert_close(features(ecfp4.load(generator()), SMILES), ecfp(SMILES))
