"""Graph2Seq: words from molecules, with canonical or drawn ids, and as many as asked for."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.encoder import check_words

from ..model_cases import batch, faithful, small


@torch.no_grad()
def test_encoder_ids_are_canonical_or_drawn() -> None:
    tokens = batch()
    model = small()
    assert torch.equal(model.encoder(tokens), model.encoder(tokens))
    random = small(encoder_ids="random").encoder
    words = [random(tokens, generator=torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(words[0], words[1]) and not torch.equal(words[0], words[2])
    assert faithful().config.encoder_ids == "random"


@torch.no_grad()
def test_fewer_words_are_those_of_an_input_without_the_others() -> None:
    encoder, tokens = small(num_words=4).encoder, batch()
    embedded, seen = encoder.embed_input(tokens, 2)
    assert embedded.shape[:2] == seen.shape == (len(tokens), 2 + tokens.tokens.shape[1])
    assert seen[:, :2].all() and torch.equal(seen[:, 2:], tokens.mask)
    whole, _ = encoder.embed_input(tokens, 4)
    assert torch.equal(whole[:, :2], embedded[:, :2]) and torch.equal(whole[:, 4:], embedded[:, 2:])
    assert encoder(tokens, 2).shape == (len(tokens), 2, 32)


@torch.no_grad()
def test_canonical_embedding_whatever_the_configuration_says() -> None:
    encoder, tokens = small(encoder_ids="random").encoder, batch()
    first, second = (encoder.embed_input(tokens, 3, canonical=True)[0] for _ in range(2))
    assert torch.equal(first, second)
    drawn = encoder.embed_input(tokens, 3, torch.Generator().manual_seed(0))[0]
    assert torch.equal(drawn[:, :3], first[:, :3]) and not torch.equal(drawn[:, 3:], first[:, 3:])


def test_numbers_of_words() -> None:
    assert (check_words(None, 4), check_words(1, 4), check_words(4, 4)) == (4, 1, 4)
    for wrong in (0, 5, -1):
        with pytest.raises(ModelError, match=r"must lie in 1\.\.4"):
            check_words(wrong, 4)
