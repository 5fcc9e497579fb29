"""GraphGPT: one state for BOS and each token, from any number of words."""

import dataclasses

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.decoder import block_causal_mask, decoder_blocks
from sparsebench.models.graphsgpt.tokens.batch import TokenBatch

from ..model_cases import MIXED, batch, small


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


WORDS = 3


def by_the_rules(is_node: list[bool], words: int) -> Tensor:
    """The mask in the paper's words: causal, all see the words, an edge sees the atom it brings, and the first atom the
    first edge and the second atom."""
    start, size = words + 1, words + 1 + len(is_node)
    see = torch.ones(size, size).tril().bool()
    see[:, :words] = True
    for place, node in enumerate(is_node):
        if node and place > 0:
            see[start + place - 1, start + place] = True
    if len(is_node) > 2:
        see[start, start : start + 3] = True
    return see


def test_blocks_give_the_mask_of_the_paper() -> None:
    tokens = batch()
    mask = block_causal_mask(decoder_blocks(tokens.block, tokens.mask, WORDS))[:, 0]
    for row, length in enumerate(tokens.lengths.tolist()):
        size = WORDS + 1 + length
        assert torch.equal(mask[row, :size, :size], by_the_rules(tokens.is_node[row, :length].tolist(), WORDS))
        assert not mask[row, :, size:].any()


def test_every_query_of_the_encoder_sees_words_and_tokens_but_no_padding() -> None:
    tokens = batch(["C", "CCO"])
    embedded, seen = small().encoder.embed_input(tokens, 2)
    assert embedded.shape[:2] == seen.shape
    assert seen.tolist() == [[True] * 3 + [False] * 4, [True] * 7]


def changed(tokens: TokenBatch, where: Tensor) -> TokenBatch:
    """Other tokens and places at `where` (B, L)."""
    other = tokens.tokens.where(~where, 2 + (tokens.tokens - 1) % 12)
    return dataclasses.replace(tokens, tokens=other, positions=tokens.positions.where(~where.unsqueeze(-1), 99))


@torch.no_grad()
def test_no_state_sees_a_later_block() -> None:
    model, tokens = small(), batch()
    words = torch.randn(len(tokens), WORDS, 32, generator=torch.Generator().manual_seed(0))
    before = model.decoder(tokens, words)
    for block in range(1, 8):
        late = tokens.mask & (tokens.block >= block)
        after = model.decoder(changed(tokens, late), words)
        early = torch.cat([torch.ones(len(tokens), 1, dtype=torch.bool), tokens.mask & (tokens.block < block)], 1)
        assert torch.equal(after[early], before[early])
        here = torch.cat([torch.zeros(len(tokens), 1, dtype=torch.bool), tokens.mask & (tokens.block == block)], 1)
        assert (after[here] != before[here]).any(dim=-1).all()


@torch.no_grad()
def test_inside_a_block_an_edge_sees_its_new_atom() -> None:
    model, tokens = small(), batch(["CCO"])
    words = torch.zeros(1, WORDS, 32)
    last = torch.tensor([[False, False, False, False, True]])
    before, after = model.decoder(tokens, words), model.decoder(changed(tokens, last), words)
    assert torch.equal(before[:, :4], after[:, :4])
    assert (before[:, 4:] != after[:, 4:]).any(dim=-1).all()


@torch.no_grad()
def test_a_word_reaches_every_state() -> None:
    model, tokens = small(), batch()
    words = torch.randn(len(tokens), WORDS, 32, generator=torch.Generator().manual_seed(0))
    before = model.decoder(tokens, words)
    for word in range(WORDS):
        other = words.clone()
        other[:, word] += 1
        different = (model.decoder(tokens, other) != before).any(dim=-1)
        assert different[:, 0].all() and different[:, 1:][tokens.mask].all()


@pytest.mark.parametrize("row", range(len(MIXED)))
@torch.no_grad()
def test_padding_and_neighbours_change_nothing(row: int) -> None:
    model, tokens = small(), batch()
    words = model.encoder(tokens)
    states = model.decoder(tokens, words)
    alone = batch([MIXED[row]])
    torch.testing.assert_close(model.encoder(alone), words[row : row + 1], atol=1e-5, rtol=0)
    length = alone.tokens.shape[1]
    ours = model.decoder(alone, words[row : row + 1])[0]
    torch.testing.assert_close(ours, states[row, : 1 + length], atol=1e-5, rtol=0)
