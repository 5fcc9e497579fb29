"""What the tasks know of the two kinds of generators: batches, losses, tokens, and what is left out."""

import pytest
import torch

from sparsebench.models.graphsgpt import Tokenizer, Vocabulary
from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig
from sparsebench.suites.contracts.traits import GRAPH_WORDS, WRITES_MOLECULES, traits_of
from sparsebench.suites.contracts.vocabulary import vocabulary
from sparsebench.suites.molecules.backbones import tiny_generator
from sparsebench.suites.molecules.generation import writers
from sparsebench.suites.molecules.generation.sampler import Sampler
from sparsebench.suites.molecules.generation.string_sampler import StringSampler
from sparsebench.suites.molecules.generation.writers import token_data, writer_of

CPU = torch.device("cpu")
SMILES = ["CCO", "[CH3]", "c1ccccc1", "nonsense"]


@pytest.fixture
def strings() -> CharRNN:
    return CharRNN(CharRNNConfig(characters="1COc", width=8)).eval()


def test_strings_with_other_characters_are_left_out(strings: CharRNN) -> None:
    writer = writer_of(strings)
    batches = writer.batches(SMILES, 1, CPU)
    assert [len(batch) for batch in batches] == [1, 1] and [writer.tokens(batch) for batch in batches] == [4, 9]
    assert torch.equal(writer.loss(strings, batches[0]), strings.loss(strings.batch(["CCO"])))
    data = writer.data(SMILES, CPU)
    assert data.train == ["CCO", "c1ccccc1"] and data.lengths == [3, 8]
    assert torch.equal(data.collate(["CCO"]).inputs, batches[0].inputs)
    assert isinstance(writer.sampler(), StringSampler) and writer.target.outputs == 5
    assert traits_of(strings) == {"parameters", WRITES_MOLECULES} and vocabulary(strings) == {
        "1": 1,
        "C": 2,
        "O": 3,
        "c": 4,
    }


def test_graphs_are_written_from_their_own_words() -> None:
    model = tiny_generator.load(torch.Generator().manual_seed(0))
    writer = writer_of(model)
    (batch,) = writer.batches(SMILES, 8, CPU)
    assert len(batch) == 2 and torch.equal(writer.loss(model, batch), model(batch).loss)
    assert isinstance(writer.sampler(), Sampler) and {WRITES_MOLECULES, GRAPH_WORDS} <= traits_of(model)
    assert writer.tokens(batch) == int(batch.lengths.sum())


def test_others_write_no_molecules() -> None:
    with pytest.raises(TypeError, match="must be a GraphsGPT or a CharRNN, not Linear"):
        writer_of(torch.nn.Linear(1, 1))


def test_molecules_without_tokens_are_excluded() -> None:
    data = token_data(SMILES, Vocabulary.improved(), CPU)
    assert [tokens.shape for tokens in data.train] == [(4, 5), (4, 12)] and list(data.lengths) == [5, 12]
    batch = data.collate(list(data.train))
    expected = Tokenizer(Vocabulary.improved())(["CCO", "c1ccccc1"]).batch()
    for name, tensor in vars(expected).items():
        assert torch.equal(getattr(batch, name), tensor), name


def test_the_last_set_is_tokenised_once() -> None:
    writers._tokens.cache_clear()
    for _ in range(3):
        token_data(SMILES, Vocabulary.improved(), CPU)
    token_data(SMILES, Vocabulary.improved([(6, 0), (8, 0)]), CPU)
    assert (writers._tokens.cache_info().hits, writers._tokens.cache_info().misses) == (2, 2)
