import gzip
import pickle

import numpy as np
import pytest

from sparsebench.data.errors import DataError, UnknownSource
from sparsebench.data.manifest import source
from sparsebench.data.molecules import moses as module
from sparsebench.data.molecules.moses import moses, moses_statistics


def test_unknown_splits():
    with pytest.raises(UnknownSource, match="unknown MOSES split 'tset'; did you mean test"):
        moses("tset")  # type: ignore[arg-type]
    with pytest.raises(UnknownSource, match="no MOSES statistics for 'train'"):
        moses_statistics("train")  # type: ignore[arg-type]


class Harmful:
    def __reduce__(self):
        return print, ("executed",)


def test_unpickler_builds_nothing_but_arrays_and_counters(capsys: pytest.CaptureFixture):
    import io

    with pytest.raises(DataError, match=r"ask for builtins\.print, which is not allowed"):
        module._Unpickler(io.BytesIO(pickle.dumps(Harmful()))).load()
    assert capsys.readouterr().out == ""


@pytest.mark.data
@pytest.mark.parametrize("split", ["train", "test", "test_scaffolds"])
def test_counts(split: str):
    stated = source("moses").splits[split]
    assert stated == {"train": 1_584_663, "test": 176_074, "test_scaffolds": 176_225}[split]
    with gzip.open(module.path("moses", split), "rt") as lines:
        assert sum(1 for _ in lines) == stated + 1
    first = moses(split, limit=100)
    assert len(first) == 100 and all(text and "," not in text for text in first)


@pytest.mark.data
def test_test_split_is_whole_and_readable():
    from rdkit import Chem

    smiles = moses("test")
    assert len(smiles) == 176_074
    assert all(Chem.MolFromSmiles(text) is not None for text in smiles[::1000])


@pytest.mark.data
@pytest.mark.parametrize("split", ["test", "test_scaffolds"])
def test_statistics(split: str):
    statistics = moses_statistics(split)
    assert set(statistics) == {"FCD", "SNN", "Frag", "Scaf", "logP", "SA", "QED", "weight"}
    assert statistics["FCD"]["mu"].shape == (512,) and statistics["FCD"]["sigma"].shape == (512, 512)
    np.testing.assert_allclose(statistics["FCD"]["sigma"], statistics["FCD"]["sigma"].T, atol=1e-6)
    rows = source("moses").splits[split]
    assert statistics["SNN"]["fps"].shape == (rows, 1024) and len(statistics["QED"]["values"]) == rows


@pytest.mark.data
def test_statistics_agree_with_rdkit():
    """The file's weights are the molecules' weights, row by row: both files have the same order."""
    from rdkit import Chem
    from rdkit.Chem.Descriptors import MolWt

    stated = np.asarray(moses_statistics("test")["weight"]["values"])[:50]
    computed = [MolWt(Chem.MolFromSmiles(text)) for text in moses("test", limit=50)]
    np.testing.assert_allclose(computed, stated, atol=1e-3)
