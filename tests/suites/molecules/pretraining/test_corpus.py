"""What is prepared before pre-training."""

import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.data.errors import TableError
from sparsebench.data.molecules.properties import PROPERTIES, properties
from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.models.graphsgpt import to_smiles
from sparsebench.suites.molecules.pretraining.corpus import NAMES, ROWS, SOURCE, Corpus, build_corpus, read_smiles


def test_requests_lie_evenly_and_hold_scaffold_and_properties(corpus: Corpus, smiles: list[str]) -> None:
    assert corpus.rows.tolist() == list(range(0, 30, 2)) and len(corpus.molecules.ok) == 27
    vocabulary = corpus.molecules.vocabulary
    for place, row in enumerate(corpus.rows):
        tokens, text = corpus.scaffolds[place], smiles[row]
        if text == "nonsense":
            assert not tokens.shape[1] and np.isnan(corpus.values[place]).all()
            continue
        assert (to_smiles(tokens, vocabulary) if tokens.shape[1] else "") == scaffold_of(text)
        grown = corpus.grown[place]
        assert np.array_equal(grown[:, : tokens.shape[1]], tokens) and bool(grown.shape[1]) == bool(tokens.shape[1])
        assert not tokens.shape[1] or to_smiles(grown, vocabulary) == Chem.CanonSmiles(text)
        expected = dict(zip(PROPERTIES, properties(text), strict=True))
        np.testing.assert_allclose(corpus.values[place], [expected[name] for name in NAMES], rtol=1e-5)


def test_a_prepared_folder_is_opened_and_checked(corpus: Corpus, smiles: list[str]) -> None:
    folder = corpus.molecules.folder.parent
    again = build_corpus(folder, partial(iter, smiles), conditions=15, workers=1)
    assert np.array_equal(again.values, corpus.values, equal_nan=True) and again.source == corpus.source
    with pytest.raises(ValueError, match="prepared for 15 conditions, not 10"):
        build_corpus(folder, partial(iter, smiles), conditions=10, workers=1)


def test_conditions_are_of_all_molecules_where_their_number_does_not_divide(
    corpus: Corpus, smiles: list[str], tmp_path: Path
) -> None:
    folder = tmp_path / "twenty"
    shutil.copytree(corpus.molecules.folder, folder / "molecules")
    made = partial(build_corpus, folder, partial(iter, smiles), conditions=20, workers=1)
    rows = made().rows
    assert rows.tolist()[:4] == [0, 1, 3, 4] and rows[-1] == 28
    (folder / "requests" / ROWS).unlink()  # as before, when rows were 0 to 19
    with pytest.raises(ValueError, match="conditions of its first molecules alone"):
        made()


def test_other_molecules_in_a_prepared_folder_are_refused(corpus: Corpus, smiles: list[str], tmp_path: Path) -> None:
    folder = corpus.molecules.folder.parent
    others = [*smiles[:-1], "CCCCCl"]
    with pytest.raises(ValueError, match=r"was prepared from 30 strings.* choose another folder"):
        build_corpus(folder, partial(iter, others), conditions=15, workers=1)
    older = tmp_path / "older"  # of a version that did not write down which molecules it holds
    shutil.copytree(folder, older)
    (older / SOURCE).unlink()
    for wrong in (["CCN", *smiles[1:]], smiles[:-1]):
        with pytest.raises(ValueError, match="prepared from other molecules"):
            build_corpus(older, partial(iter, wrong), conditions=15, workers=1)
    assert build_corpus(older, partial(iter, smiles), conditions=15, workers=1).source == corpus.source


def test_smiles_files_of_the_user(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text('\ufeffid,"SMILES"\n1,"CCO"\n\n2,CCN\n3,\n', encoding="utf-8")
    assert list(read_smiles(table)) == ["CCO", "CCN"]
    lines = tmp_path / "mine.smi"
    lines.write_text("smiles name\nCCO a\n\nCCN\tb\n")
    assert list(read_smiles(lines)) == ["CCO", "CCN"]


def test_the_column_is_taken_by_name(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("id,ligand,SMILES\n1,CCC,CCO\n")
    assert list(read_smiles(table, "ligand")) == ["CCC"] and list(read_smiles(table)) == ["CCO"]
    with pytest.raises(TableError, match="no column 'SMLES'; did you mean"):
        list(read_smiles(table, "SMLES"))


def test_what_holds_no_molecules_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "mine.csv"
    table.write_text("id,ligand\n1,CCO\n")
    with pytest.raises(TableError, match="which column has the SMILES"):
        list(read_smiles(table))
    with pytest.raises(ValueError, match="none of the 2 molecules can be read: the first that cannot is '1', "):
        build_corpus(tmp_path / "out", partial(iter, ["1", "2"]), conditions=1, workers=1)
    with pytest.raises(ValueError, match="1 of the 3 molecules can be read: the first that cannot is 'x'"):
        build_corpus(tmp_path / "most", partial(iter, ["CC", "x", "2"]), conditions=1, workers=1)
