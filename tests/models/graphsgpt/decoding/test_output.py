"""What a finished decoding says of its aromatic bonds."""

import numpy as np
import pytest
from rdkit import Chem

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.output import Decoded, finish
from sparsebench.models.graphsgpt.tokens.faithful import collect_bonds
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..tokens.test_aromatic import AROMATIC_CC, CHAIN, chain_of

CONSTRAINED, PUBLISHED = DecodingConfig(), DecodingConfig(constrained=False, fix_aromatic=True)


def written(tokens: np.ndarray, **fields: object) -> Decoded:
    return Decoded(**({"tokens": tokens, "log_prob": -1.0, "status": "complete", "illegal": 2} | fields))


@pytest.mark.parametrize("config", [CONSTRAINED, PUBLISHED])
def test_bonds_that_become_single_are_illegal(config: DecodingConfig) -> None:
    chain = written(chain_of((AROMATIC_CC, 0, 1), (AROMATIC_CC, 1, 2)), status="truncated")
    done = finish(chain, CHAIN, config)
    assert (done.status, done.illegal, done.log_prob) == ("truncated", 2 + 2, -1.0)
    assert done.tokens is chain.tokens and Chem.MolToSmiles(done.molecule) == "CCC"


def test_a_ring_whose_hydrogen_is_not_written() -> None:
    """Nothing that the model wrote is wrong; as published the molecule is lost."""
    vocabulary = Vocabulary.faithful(collect_bonds(["Cc1ccc[nH]1"]))
    pyrrole = written(Tokenizer(vocabulary)("Cc1ccc[nH]1")[0], illegal=0)
    done = finish(pyrrole, vocabulary, CONSTRAINED)
    assert (done.status, done.illegal, Chem.MolToSmiles(done.molecule)) == ("complete", 0, "Cc1ccc[nH]1")
    lost = finish(pyrrole, vocabulary, PUBLISHED)
    assert (lost.status, lost.illegal, lost.molecule) == ("invalid", 0, None)


def test_a_ring_that_cannot_be_aromatic() -> None:
    square = written(chain_of(*((AROMATIC_CC, a, b) for a, b in ((0, 1), (1, 2), (2, 3), (3, 0)))))
    done = finish(square, CHAIN, CONSTRAINED)
    assert (done.illegal, Chem.MolToSmiles(done.molecule)) == (2 + 4, "C1=CC=C1")


def test_failed_molecules_stay_so() -> None:
    failed = written(chain_of(), status="invalid")
    assert finish(failed, CHAIN, CONSTRAINED) is failed
