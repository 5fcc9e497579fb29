"""RDKit's descriptors as features."""

import torch
from rdkit.Chem import Descriptors, MolFromSmiles

from sparsebench.suites.molecules.backbones import rdkit_descriptors

from ..bodies import SMILES, features, generator


def test_they_are_rdkit_s_in_its_order_broken_values_included() -> None:
    body = rdkit_descriptors.load(generator())
    found = features(body, [*SMILES, "[Na+].[Cl-]"])
    assert found.shape == (5, body.width) and found.dtype == torch.float32
    for name in ("MolLogP", "TPSA", "fr_phenol"):
        place = [known for known, _ in Descriptors.descList].index(name)
        expected = [dict(Descriptors.descList)[name](MolFromSmiles(text)) for text in SMILES]
        torch.testing.assert_close(found[:4, place], torch.tensor(expected, dtype=torch.float32))
    assert found[4].isnan().any() and not found[0].isnan().any(), "salt has no partial charges"
