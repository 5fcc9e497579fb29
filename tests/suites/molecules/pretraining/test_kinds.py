"""Molecules of other kinds: what is made of one, and that none of a table gets through."""

import random
from pathlib import Path

import pytest
import typer
from rdkit import Chem
from typer.testing import CliRunner

from sparsebench.suites.molecules.pretraining import kinds
from sparsebench.suites.molecules.pretraining.kinds import composed, ionised, kinds_of, main, pieces


def smiles_of(text: str) -> str | None:
    changed = ionised(Chem.MolFromSmiles(text))
    return None if changed is None else Chem.MolToSmiles(changed)


def test_acids_lose_a_proton_and_one_amine_gains_one() -> None:
    assert smiles_of("CC(C)NCCC(=O)O") == "CC(C)[NH2+]CCC(=O)[O-]"
    assert smiles_of("OC(=O)CC(=O)O") == "O=C([O-])CC(=O)[O-]"
    assert smiles_of("CN1CCN(C)CC1") == "CN1CC[NH+](C)CC1"
    for neither in ("CC(=O)Nc1ccccc1", "CS(=O)(=O)NC", "c1ccncc1", "Nc1ccccc1", "CON", "CC#N"):
        assert smiles_of(neither) is None, neither


def test_pieces_are_parts_closed_by_hydrogen() -> None:
    whole = Chem.MolFromSmiles("Cc1ccc(C(=O)Nc2ccccc2)cc1CN1CCCC1")
    made = pieces(whole, random.Random(0))
    assert len(made) == 2 and made[0].GetNumAtoms() + made[1].GetNumAtoms() == whole.GetNumAtoms()
    assert all(whole.HasSubstructMatch(Chem.MolFromSmiles(Chem.MolToSmiles(piece))) for piece in made)
    assert pieces(Chem.MolFromSmiles("c1ccccc1C"), random.Random(0)) == []


def test_a_molecule_has_no_stereo_and_a_size_that_fits() -> None:
    made = kinds_of("C[C@H](N)C(=O)Nc1ccc([35Cl])cc1", 0)
    assert made[0] == ("screen", "CC(N)C(=O)Nc1ccc(Cl)cc1") and made == kinds_of("C[C@H](N)C(=O)Nc1ccc([35Cl])cc1", 0)
    assert {kind for kind, _ in made} == {"screen", "ionised", "piece"}
    assert not any("@" in smiles or "." in smiles for _, smiles in made)
    for nothing in ("no molecule", "CCO.CCN", "CC", "C" * 41):
        assert all(kind == "piece" for kind, _ in kinds_of(nothing, 0))


def test_pieces_are_no_more_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "PIECES", 2)
    lines = composed({"C" * size: "piece" for size in range(3, 9)} | {"CCN": "screen"}, 0)
    assert sorted(kind for _, kind in lines) == ["piece", "piece", "screen"]


def test_what_a_table_has_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kinds, "qm9_parts", lambda: (["CCC", "C1CC1"], ["CCO"]))
    monkeypatch.setattr(kinds, "_screened", lambda: ["OCC", "CCCCN", "Clc1ccccc1", "CC(F)C"])
    monkeypatch.setattr(kinds, "_table_molecules", lambda: iter(["c1ccccc1Cl"]))
    monkeypatch.setattr(kinds, "moses", lambda split: [])
    monkeypatch.setattr(kinds, "validation_set", lambda: ["CC(C)F"])
    app = typer.Typer()
    app.command()(main)
    ended = CliRunner().invoke(app, [str(tmp_path / "out.smi"), "--workers", "1"])
    lines = dict(line.split("\t") for line in (tmp_path / "out.smi").read_text().splitlines())
    assert lines["CCC"] == lines["C1CC1"] == "small" and lines["CCCCN"] == "screen" and lines["CCCC[NH3+]"] == "ionised"
    ends = [line.split("\t")[1] for line in (tmp_path / "out.smi").read_text().splitlines()]
    assert ends.count("ionised") == 3 * len([kind for kind in lines.values() if kind == "ionised"]) > 0
    assert not {"CCO", "Clc1ccccc1", "CC(C)F"} & set(lines)
    assert "left out, since a table or a test part has them\t3" in ended.output
