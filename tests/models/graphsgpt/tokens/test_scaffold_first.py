"""Molecules that begin with a scaffold: their tokens, and decoding that starts from them."""

import numpy as np
import pytest
import torch
from rdkit import Chem

from sparsebench.data.molecules.scaffold import scaffold_of
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import (
    ScaffoldFirstTokenizer,
    Tokenizer,
    TokenizerPool,
    TokenStatus,
    Vocabulary,
    to_smiles,
)
from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.log_likelihood import log_likelihood
from sparsebench.models.graphsgpt.pipeline import GraphsGPTPipeline
from sparsebench.models.graphsgpt.tokens.batch import collate

from ..model_cases import SMILES, VOCABULARY, faithful, small

SCAFFOLDS = [scaffold_of(smiles) for smiles in SMILES]
HARD = [
    ("Cc1ccnn1C", "c1cn[nH]c1"),  # which nitrogen bears the hydrogen
    ("CC(=O)Oc1ccccc1C(=O)O", "c1ccccc1"),
    ("CC(=O)Oc1ccccc1C(=O)O", "CC(=O)O"),  # no ring, two places
    ("[Na+].[O-]C(=O)c1ccccc1", "c1ccccc1"),  # two fragments
    ("C[n+]1ccccc1CC", "c1cc[nH+]cc1"),
    ("OCC1CC1", "C1CC1"),
]
NOT_THERE = [
    ("CCO", "c1ccccc1"),
    ("c1ccc2ccccc2c1", "C1=CC=CCC1"),
    ("C1CC1", "CCC"),  # the ring has one bond more
    ("CC(=O)C", "CCO"),
]


def test_tokens_are_those_of_the_scaffold_and_then_the_rest() -> None:
    vocabulary = Vocabulary.improved()
    pairs = [*zip(SMILES, SCAFFOLDS, strict=True), *HARD]
    found = ScaffoldFirstTokenizer(vocabulary)(pairs)
    cores = Tokenizer(vocabulary)([scaffold for _, scaffold in pairs])
    assert found.reasons == ("",) * len(pairs)
    for row, (smiles, _) in enumerate(pairs):
        core = cores[row]
        assert np.array_equal(found[row][:, : core.shape[1]], core) and found[row].shape[1] > core.shape[1]
        assert to_smiles(found[row], vocabulary) == Chem.CanonSmiles(smiles)
    with TokenizerPool(vocabulary, 1, kind=ScaffoldFirstTokenizer) as pool:
        assert np.array_equal(pool(pairs).rows, found.rows)


def test_scaffolds_without_a_place_and_bad_molecules_get_a_status() -> None:
    found = ScaffoldFirstTokenizer(Vocabulary.improved())([*NOT_THERE, ("C1CC", "C"), ("CC", ""), (None, "C")])
    expected = [TokenStatus.NO_SCAFFOLD] * 4 + [TokenStatus.INVALID, TokenStatus.EMPTY, TokenStatus.NOT_A_MOLECULE]
    assert found.status.tolist() == expected and all(found.reasons) and not found.lengths.any()
    with pytest.raises(ModelError, match="improved mode alone"):
        ScaffoldFirstTokenizer(Vocabulary.faithful([(6, 6, 1)]))


@pytest.mark.parametrize("constrained", [True, False])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_decoding_begins_with_the_prefix(temperature: float, constrained: bool) -> None:
    model, draw = small(), torch.Generator().manual_seed(0)
    words = torch.randn(len(SMILES), 3, 32, generator=draw)
    config = DecodingConfig(temperature=temperature, constrained=constrained, max_edges=60)
    for row in range(4):
        prefix = Tokenizer(VOCABULARY)(SCAFFOLDS[row])[0]
        made = decode(model, words, config=config, generator=draw, prefix=prefix)
        assert all(np.array_equal(one.tokens[:, : prefix.shape[1]], prefix) for one in made)
        assert not constrained or any(one.tokens.shape[1] > prefix.shape[1] for one in made)
        whole = [(n, one) for n, one in enumerate(made) if one.status == "complete"]
        scores = log_likelihood(model, collate([one.tokens for _, one in whole]), words[[n for n, _ in whole]])
        for score, (_, one) in zip(scores, whole, strict=True):  # a stop for want of legal edges is scored alike
            assert one.log_prob == pytest.approx(float(score), abs=3e-3)


def test_a_prefix_of_one_atom_and_one_of_two_fragments() -> None:
    model, words = small(), torch.randn(5, 3, 32, generator=torch.Generator().manual_seed(0))
    for smiles in ("N", "C.O"):
        prefix = Tokenizer(VOCABULARY)(smiles)[0]
        made = decode(model, words, config=DecodingConfig(max_edges=10), prefix=prefix)
        assert all(np.array_equal(one.tokens[:, : prefix.shape[1]], prefix) for one in made)
    with pytest.raises(ModelError, match="improved mode"):
        decode(faithful(), words, prefix=prefix)


def test_molecules_grow_from_the_scaffold() -> None:
    pipe = GraphsGPTPipeline(small(properties={"logp": (2.0, 1.0)}), batch_size=7)
    draw = torch.Generator().manual_seed(0)
    for smiles in ("C1CCCCC1", "O=C1CCCN1"):
        query = Chem.MolFromSmiles(smiles)
        kept = pipe.generate(20, scaffold=smiles, generator=draw)
        steered = pipe.generate(20, scaffold=smiles, scaffold_prefix=False, generator=draw)
        held = [[one.mol is not None and one.mol.HasSubstructMatch(query) for one in made] for made in (kept, steered)]
        assert all(held[0]) and not all(held[1])
        assert len({one.smiles for one in kept}) > 5
