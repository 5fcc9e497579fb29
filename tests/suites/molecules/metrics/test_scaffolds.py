"""Scaffolds that are counted."""

from rdkit import Chem

from sparsebench.suites.molecules.metrics.scaffolds import scaffolds


def test_scaffolds():
    smiles = ["CCc1ccccc1-c1ccncc1C", "c1ccc(-c2ccncc2)cc1", "CCc1ccccc1", "CCO", "O=C(Cc1ccccc1)NC1CCCC1C"]
    found = scaffolds(map(Chem.MolFromSmiles, smiles))
    assert found == {"c1ccc(-c2ccncc2)cc1": 2, "O=C(Cc1ccccc1)NC1CCCC1": 1}
