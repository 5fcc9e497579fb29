"""Decoded tokens as what the pipeline gives back."""

import numpy as np
import pytest
import torch
from rdkit import Chem

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.decoding.output import Decoded, Status
from sparsebench.models.graphsgpt.results import Encoded, no_words, read
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer

from .model_cases import VOCABULARY

TOKENS = Tokenizer(VOCABULARY)("OCC")[0]


def decoded(status: Status = "complete", tokens: np.ndarray = TOKENS, molecule: Chem.Mol | None = None) -> Decoded:
    return Decoded(tokens=tokens, log_prob=-1.5, status=status, illegal=2, molecule=molecule)


@pytest.mark.parametrize(("status", "expected"), [("complete", "ok"), ("truncated", "truncated")])
def test_a_molecule_is_read(status: Status, expected: str) -> None:
    made = read(decoded(status), VOCABULARY)
    assert (made.status, made.smiles, made.log_prob, made.repaired, made.reason) == (expected, "CCO", -1.5, 2, "")
    assert made.mol is not None and made.mol.GetNumAtoms() == 3 and made.tokens is TOKENS


def test_a_molecule_that_decoding_finished_is_taken_as_it_is() -> None:
    finished = Chem.MolFromSmiles("CCN")
    made = read(decoded(molecule=finished), VOCABULARY)
    assert made.mol is finished and made.smiles == "CCN"


def test_what_is_no_molecule_says_why() -> None:
    failed = read(decoded("invalid"), VOCABULARY)
    assert (failed.status, failed.smiles, failed.mol) == ("invalid", None, None)
    assert failed.reason == "an edge was not allowed"
    broken = TOKENS.copy()
    broken[0, 1] = VOCABULARY.size  # no edge has this token
    unread = read(decoded(tokens=broken), VOCABULARY)
    assert unread.status == "invalid" and unread.mol is None and "is not an edge" in unread.reason


def test_a_graph_of_torch_geometric_is_the_same_molecule() -> None:
    graph = read(decoded(), VOCABULARY).to_data()
    assert graph.smiles == "CCO" and graph.x.shape == (3, 9)
    assert np.array_equal(Tokenizer(VOCABULARY)(graph)[0], TOKENS)
    with pytest.raises(ModelError, match="no molecule to make a graph of: an edge was not allowed"):
        read(decoded("invalid"), VOCABULARY).to_data()


def test_rows_without_words() -> None:
    made = no_words("these words are not finite")
    assert (made.status, made.reason, made.repaired) == ("invalid", "these words are not finite", 0)
    assert made.tokens.shape == (4, 0) and np.isnan(made.log_prob)
    encoded = Encoded(words=torch.zeros(3, 1, 2), status=np.array([0, 2, 0], dtype=np.int8), reasons=("", "why", ""))
    assert len(encoded) == 3 and encoded.ok.tolist() == [0, 2]
