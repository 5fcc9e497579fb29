"""Molecules that are written when nothing is asked for: from the very words that sampling starts from."""

import pytest
import torch

from sparsebench.models.graphsgpt import Tokenizer, Vocabulary
from sparsebench.models.graphsgpt.conditioning import conditional_words
from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.molecules.backbones import graphsgpt_random, tiny_generator
from sparsebench.suites.molecules.generation.unasked import UnaskedData, unasked
from sparsebench.suites.molecules.generation.writers import writer_of

CPU = torch.device("cpu")
SMILES = ["CCO", "c1ccccc1O"]


def test_graphs_are_written_from_the_words_of_a_request_that_asks_for_nothing() -> None:
    model = tiny_generator.load(torch.Generator().manual_seed(0))
    how = unasked(model)
    data = UnaskedData(writer_of(model).data(SMILES, CPU), how)
    pair = data.collate(list(data.train))
    words = model.encoder(pair.inputs["source"], wanted=pair.inputs["wanted"])
    asked = conditional_words(model, Tokenizer(Vocabulary.improved()), 2)
    torch.testing.assert_close(words, asked, atol=1e-6, rtol=1e-5)
    assert torch.equal(words[0], words[1]) and not torch.allclose(words, model.encoder(pair.inputs["batch"]), atol=0.1)
    assert torch.equal(how.loss(model, pair), model(pair.inputs["batch"], words=words).loss)
    assert list(data.lengths or ()) == [5, 14] and how.tokens(pair) == 19 and pair.written.shape == (2, 14)


def test_strings_are_never_asked_for_anything() -> None:
    model = CharRNN(CharRNNConfig(characters="1COc", width=8))
    how = unasked(model)
    data = UnaskedData(writer_of(model).data(SMILES, CPU), how)
    pair = data.collate(list(data.train))
    assert torch.equal(how.loss(model, pair), model.loss(model.batch(SMILES)))
    assert how.tokens(pair) == 4 + 10


def test_what_nothing_is_drawn_from() -> None:
    with pytest.raises(NotApplicable, match="takes no conditions"):
        unasked(graphsgpt_random.load(torch.Generator(), "32x1"))
    with pytest.raises(TypeError, match="nothing is drawn from a Linear"):
        unasked(torch.nn.Linear(1, 1))
