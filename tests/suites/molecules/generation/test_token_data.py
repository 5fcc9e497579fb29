"""Training data of tokens: what has none is not in it, lengths are known, batches are whole."""

import torch

from sparsebench.models.graphsgpt import Tokenizer, Vocabulary
from sparsebench.suites.molecules.generation import token_data as module
from sparsebench.suites.molecules.generation.token_data import token_data

CPU = torch.device("cpu")
SMILES = ["CCO", "[CH3]", "c1ccccc1", "nonsense"]


def test_molecules_without_tokens_are_excluded() -> None:
    data = token_data(SMILES, Vocabulary.improved(), CPU)
    assert [tokens.shape for tokens in data.train] == [(4, 5), (4, 12)] and list(data.lengths) == [5, 12]
    batch = data.collate(list(data.train))
    expected = Tokenizer(Vocabulary.improved())(["CCO", "c1ccccc1"]).batch()
    for name, tensor in vars(expected).items():
        assert torch.equal(getattr(batch, name), tensor), name


def test_the_last_set_is_tokenised_once() -> None:
    module._tokens.cache_clear()
    for _ in range(3):
        token_data(SMILES, Vocabulary.improved(), CPU)
    token_data(SMILES, Vocabulary.improved([(6, 0), (8, 0)]), CPU)
    assert (module._tokens.cache_info().hits, module._tokens.cache_info().misses) == (2, 2)
