from pathlib import Path

import pytest
from rdkit import Chem

from sparsebench.suites.molecules.metrics.filters import Patterns, filters, passes, patterns, read_patterns


@pytest.mark.parametrize(
    ("smiles", "allowed"),
    [
        ("CCO", True),
        ("Cc1ccc(F)cc1Br", True),
        ("C1CCCCCC1", True),
        ("C1CCCCCCC1", False),  # a ring of eight
        ("CC(=O)[O-]", False),
        ("C[N+](=O)[O-]", False),  # neutral as a whole
        ("CI", False),
        ("CP", False),
        ("[H][H]", True),
    ],
)
def test_rules_without_patterns(smiles: str, allowed: bool):
    assert passes(Chem.MolFromSmiles(smiles), patterns([])) is allowed


def test_patterns_see_hydrogens():
    forbidden = patterns(["[#7](-[#1])-[#1]"])
    assert not passes(Chem.MolFromSmiles("CN"), forbidden) and passes(Chem.MolFromSmiles("CNC"), forbidden)
    metric = filters([Chem.MolFromSmiles(text) for text in ("CN", "CNC", "CO", "CI")], forbidden)
    assert metric.value == 0.5 and metric.n == 4


def test_reads_both_layouts(tmp_path: Path):
    mcf, pains = tmp_path / "mcf.csv", tmp_path / "pains.csv"
    mcf.write_text('names,smarts\nA,"[F,Cl]C"\nB,C=O\n')
    pains.write_text('"[#7]-[$([#6]),$([#8])]"      ,"<regId=x(1)>"\n"N=N",y')
    found = [Chem.MolToSmarts(query) for query in read_patterns(mcf, pains).queries]
    assert found == [
        Chem.MolToSmarts(Chem.MolFromSmarts(s)) for s in ("[F,Cl]C", "C=O", "[#7]-[$([#6]),$([#8])]", "N=N")
    ]


def test_invalid_pattern():
    with pytest.raises(ValueError, match="'C\\(' is not a valid SMARTS"):
        patterns(["CC", "C("])


def slow_passes(molecule: Chem.Mol, forbidden: Patterns) -> bool:
    whole = Chem.AddHs(molecule)
    rings = all(len(ring) < 8 for ring in molecule.GetRingInfo().AtomRings())
    atoms = all(atom.GetSymbol() in ["C", "N", "S", "O", "F", "Cl", "Br", "H"] for atom in molecule.GetAtoms())
    charges = all(atom.GetFormalCharge() == 0 for atom in molecule.GetAtoms())
    return rings and atoms and charges and not any(whole.HasSubstructMatch(query) for query in forbidden.queries)


@pytest.mark.data
def test_screens_lose_no_match(molecules: list[Chem.Mol]):
    from sparsebench.data.sources import path

    forbidden = read_patterns(path("moses", "filters_mcf"), path("moses", "filters_pains"))
    assert len(forbidden.queries) == 22 + 480
    expected = [slow_passes(molecule, forbidden) for molecule in molecules]
    assert [passes(molecule, forbidden) for molecule in molecules] == expected and 50 < sum(expected) < 250
