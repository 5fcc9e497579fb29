"""The decoder with a cache against the same model without one."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.kv_cache import CachedDecoder, product
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import TokenBatch
from sparsebench.models.moe import MoEConfig, convert

from ..model_cases import SMILES, batch, noise, peaked, small


def teacher_forced(model: GraphsGPT, tokens: TokenBatch, words: Tensor) -> Tensor:
    """Cached states of BOS and of all edges (B, 1 + edges, D) as the true tokens are appended block by block."""
    cached = CachedDecoder(model)
    states = [cached.start(words, capacity=8)]
    for block in range(int(tokens.block.max()) + 1):
        here = tokens.mask & (tokens.block == block)
        width = 3 if block == 0 else 2
        place = torch.zeros(len(tokens), width, dtype=torch.long)
        for row, columns in enumerate(here):
            found = columns.nonzero()[:, 0]
            place[row, : len(found)] = found
        present = torch.arange(width) < here.sum(1, keepdim=True)
        pairs = tokens.positions.gather(1, place.unsqueeze(-1).expand(-1, -1, 2))
        states.append(cached.append(tokens.tokens.gather(1, place), pairs, present, edge=1 if block == 0 else 0))
    return torch.stack(states, 1)


@pytest.mark.parametrize("kind", ["plain", "mixture", "lora", "less"])
@torch.no_grad()
def test_cached_states_are_those_without_a_cache(kind: str) -> None:
    model = small()
    if kind == "mixture":
        convert(model, MoEConfig(num_experts=4, top_k=2))
    elif kind == "lora":
        attach(model, LoRAConfig(r=2, targets=("q", "v", "up"), init="normal"))
    elif kind == "less":
        blocks = describe(model).blocks  # of the encoder, then of the decoder
        blocks[0].remove_attention()
        blocks[-1].remove_attention()
        blocks[-2].remove_mlp()
    tokens = batch(SMILES)
    words = model.encoder(tokens)
    edges = tokens.mask & ~tokens.is_node
    expected = model.decoder(tokens, words)
    ours = teacher_forced(model, tokens, words)
    torch.testing.assert_close(ours[:, 0], expected[:, 0], atol=1e-5, rtol=0)
    there = torch.arange(ours.shape[1] - 1) < edges.sum(1, keepdim=True)
    torch.testing.assert_close(ours[:, 1:][there], expected[:, 1:][edges], atol=1e-5, rtol=0)


def test_a_prepared_decoder_serves_any_batch() -> None:
    model = peaked()
    cached = CachedDecoder(model)
    for rows in (3, 40, 7):
        words = noise(rows, seed=rows)
        for ours, fresh in zip(decode(cached, words), decode(model, words), strict=True):
            assert np.array_equal(ours.tokens, fresh.tokens) and ours.status == fresh.status


@torch.no_grad()
def test_rows_can_be_dropped_and_the_buffers_grow() -> None:
    """Three molecules of which two go on, in a cache that starts with hardly a slot, beside one that holds all."""
    model = small()
    words = noise(3)
    kept = torch.tensor([2, 0])
    tight, roomy = CachedDecoder(model), CachedDecoder(model)
    torch.testing.assert_close(tight.start(words, capacity=1), roomy.start(words[:3], capacity=64))
    tokens = batch(SMILES[:3])
    for block in range(6):
        rows = slice(None) if block < 3 else kept
        if block == 3:
            tight.keep(kept)
            roomy.keep(kept)
        ids, pairs = tokens.tokens[rows, 2 * block : 2 * block + 2], tokens.positions[rows, 2 * block : 2 * block + 2]
        present = torch.ones_like(ids, dtype=torch.bool)
        ours, expected = (cached.append(ids, pairs, present, edge=1) for cached in (tight, roomy))
        torch.testing.assert_close(ours, expected, atol=1e-6, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("activation", ["none", "swish"])
def test_a_product_is_that_of_its_layers(activation: str, bias: bool) -> None:
    """Layers with a bias are called as they are, others joined, and packed where the processor can."""
    torch.manual_seed(0)
    layers = [nn.Linear(8, width, bias=bias) for width in (4, 6)]
    x = noise(2, words=5)[..., :8]
    expected = torch.cat([layer(x) for layer in layers], dim=-1)
    if activation == "swish":
        expected = nn.functional.silu(expected)
    torch.testing.assert_close(product(layers, 10, activation)(x), expected)


def test_an_attention_of_another_kind_is_refused() -> None:
    model = small()
    model.decoder.layers[0].self_attn = nn.Identity()
    with pytest.raises(ModelError, match="decoding knows no Identity"):
        CachedDecoder(model)
