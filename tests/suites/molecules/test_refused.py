"""What is refused is what the body encodes as nothing."""

import torch

from sparsebench.suites.molecules.backbones import tiny_encoder
from sparsebench.suites.molecules.refused import refused

SMILES = ["CCO", "[2H]CC", "C[CH]C", "*CC", "C" * 129, "C" * 128, "CC(=O)[O-].[Na+]"]


def test_each_molecule_without_tokens_has_a_reason() -> None:
    body = tiny_encoder.load(torch.Generator().manual_seed(0))
    found = refused(body, SMILES)
    assert list(found) == [row for row, tokens in enumerate(body.encode(SMILES)) if not len(tokens)] == [1, 2, 3, 4]
    assert "isotope" in found[1] and all(found.values())
