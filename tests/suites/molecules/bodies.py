"""A few molecules, and what a body makes of them."""

import torch
from torch import Tensor

from sparsebench.suites.prediction.feature_extractor import FeatureExtractor

SMILES = ["CCO", "c1ccccc1O", "CC(=O)N", "C"]


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@torch.no_grad()
def features(body: FeatureExtractor, smiles: list[str]) -> Tensor:
    return body.eval()(body.collate(list(body.encode(smiles))))
