"""MoleculeNet's original files: columns as torch-geometric knows them, and what is said when there is no file."""

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch_geometric.data

from sparsebench.data.errors import ChecksumError, LocalFolderError, UnknownSource
from sparsebench.data.molecules.pyg import moleculenet_from_pyg

BBBP = 'num,name,p_np,smiles\n1,"a, b",1,CCO\n2,c,0,C1CC\n3,d,0,CC\n'


def test_a_file_that_is_there_is_read_and_named_by_its_checksum(tmp_path: Path):
    (tmp_path / "BBBP.csv").write_text(BBBP)
    table = moleculenet_from_pyg("bbbp", tmp_path)
    assert table.smiles == ["CCO", "CC"] and table.targets.tolist() == [[1], [0]]
    assert [row.row for row in table.rejected] == [1] and table.target_names == ("p_np",)
    assert hashlib.sha256(BBBP.encode()).hexdigest() in table.name


def test_a_regression_has_its_unit(tmp_path: Path):
    (tmp_path / "Lipophilicity.csv").write_text("CMPD_CHEMBLID,exp,smiles\nx,3.5,CCO\n")
    table = moleculenet_from_pyg("lipop", tmp_path)
    assert (table.task_type, table.units, table.targets.tolist()) == ("regression", ("log10(D) at pH 7.4",), [[3.5]])


def test_a_packed_file_is_fetched_once_and_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("SPARSEBENCH_OFFLINE", raising=False)
    names = [f"assay {index}" for index in range(12)]
    content = ",".join([*names, "mol_id", "smiles"]) + "\n" + ",".join(["1", "", *["0"] * 10, "x", "CCO"]) + "\n"
    calls = []

    def download(url: str, folder: str, log: bool) -> str:
        calls.append(url)
        path = Path(folder) / url.rpartition("/")[2]
        path.write_bytes(gzip.compress(content.encode()))
        return str(path)

    monkeypatch.setattr(torch_geometric.data, "download_url", download)
    first, again = moleculenet_from_pyg("tox21", tmp_path), moleculenet_from_pyg("tox21", tmp_path)
    assert len(calls) == 1 and calls[0].endswith("/tox21.csv.gz")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["tox21.csv", "tox21.sha256"]
    np.testing.assert_array_equal(first.targets, [[1, np.nan, *[0] * 10]])
    np.testing.assert_array_equal(first.targets, again.targets)
    (tmp_path / "tox21.csv").write_text(content[:-3])
    with pytest.raises(ChecksumError, match=r"tox21\.csv is not what was fetched: remove it"):
        moleculenet_from_pyg("tox21", tmp_path)
    (tmp_path / "tox21.csv").unlink()
    assert len(moleculenet_from_pyg("tox21", tmp_path).smiles) == 1


def test_without_network_it_says_what_to_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    with pytest.raises(LocalFolderError, match="SPARSEBENCH_OFFLINE is set: set SPARSEBENCH_MOLECULENET to a folder"):
        moleculenet_from_pyg("bace", tmp_path)
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "0")

    def fail(url: str, folder: str, log: bool) -> str:
        raise OSError("no route")

    monkeypatch.setattr(torch_geometric.data, "download_url", fail)
    with pytest.raises(LocalFolderError, match=r"could not be fetched \(no route\): set SPARSEBENCH_MOLECULENET"):
        moleculenet_from_pyg("bace", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_unknown_names_get_near_ones(tmp_path: Path):
    with pytest.raises(UnknownSource, match="did you mean tox21"):
        moleculenet_from_pyg("tox-21", tmp_path)
