"""GraphGPT: one state for BOS and each token, from any number of words."""

import pytest
import torch

from sparsebench.models.errors import ModelError

from ..model_cases import batch, small


@pytest.mark.parametrize("shape", [(2, 3, 32), (1, 4, 32), (1, 3, 31), (3, 32)])
def test_words_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    model = small()
    if shape == (2, 3, 32):
        assert model.decoder(batch(["C", "CC"]), torch.zeros(shape)).shape == (2, 4, 32)
        return
    with pytest.raises(ModelError, match=r"not \(molecules, at most 3, 32\)"):
        model.decoder(batch(["C"]), torch.zeros(shape))


@torch.no_grad()
def test_the_prefix_is_the_placed_words_and_bos() -> None:
    decoder = small().decoder
    words = torch.randn(2, 2, 32, generator=torch.Generator().manual_seed(0))
    prefix = decoder.prefix(words)
    assert prefix.shape == (2, 3, 32)
    torch.testing.assert_close(prefix[:, :2], words + decoder.word_positions.table(2))
    assert torch.equal(prefix[0, 2], prefix[1, 2]) and torch.equal(prefix[0, 2], decoder.embed.token(torch.tensor(1)))
