"""Words of a request: each part of it reaches the encoder, in the row and column where it belongs."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.conditioning import column, conditional_words
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer

from .model_cases import VOCABULARY, batch, small

PROPERTIES = {"qed": (0.7, 0.1), "logp": (2.0, 1.0)}
TOKENIZER = Tokenizer(VOCABULARY)
NAN = float("nan")


@torch.no_grad()
def test_words_are_those_of_the_encoder() -> None:
    model = small(properties=PROPERTIES)
    found = conditional_words(model, TOKENIZER, 2, "c1ccccc1", {"qed": torch.tensor([0.9, NAN]), "logp": 3.0})
    wanted = torch.tensor([[3.0, 0.9], [3.0, NAN]])  # columns in alphabetical order
    torch.testing.assert_close(found, model.encoder(batch(["c1ccccc1"] * 2), wanted=wanted))


@torch.no_grad()
def test_nothing_asked_for_is_an_empty_request() -> None:
    model = small(properties=PROPERTIES)
    found = conditional_words(model, TOKENIZER, 3, num_words=2)
    assert found.shape == (3, 2, 32) and torch.isfinite(found).all()
    torch.testing.assert_close(found[0], found[2])
    torch.testing.assert_close(found, model.encoder(batch([""] * 3), 2, wanted=torch.full((3, 2), NAN)))


def test_columns_and_refusals() -> None:
    model = small(properties=PROPERTIES)
    assert (column(model, "logp"), column(model, "qed")) == (0, 1)
    with pytest.raises(ModelError, match="did you mean 'logp'"):
        column(model, "lopg")
    with pytest.raises(ModelError, match="takes no requests"):
        column(small(), "logp")
    with pytest.raises(ModelError, match="the scaffold 'C1CC' cannot be used"):
        conditional_words(model, TOKENIZER, 1, "C1CC")
