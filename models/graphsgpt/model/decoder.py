"""GraphGPT: words to the states that predict a molecule edge by edge (arXiv 2402.02464)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ..tokens.batch import TokenBatch
from ..tokens.vocabulary import BOS
from .backbone import GraphsGPTPreTrainedModel, Layer, MoleculeEmbedding
from .configuration import GraphsGPTConfig
from .positions import StableEmbedding

WORD, BEGIN, PADDING = -2, -1, 1 << 14
"""Block indices of words, of the beginning of sequence, and of padding; those of molecules start from 0."""

# Shapes: B molecules, L tokens, K words, S = K + 1 + L, D width.


class GraphGPT(GraphsGPTPreTrainedModel):
    """Causal decoder over [words | BOS | molecule tokens], causal between blocks of an edge and the atom it brings."""

    base_model_prefix = "decoder"  # as in `Graph2Seq`
    _stream = 2

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__(config)
        self.embed = MoleculeEmbedding(config)
        self.word_positions = StableEmbedding(config.num_words, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_init()

    def forward(self, batch: TokenBatch, words: Tensor) -> Tensor:
        """States (B, 1 + L, D) of BOS and of the molecule's tokens, given words (B, K', D), K' from 0 to K."""
        num_words = words.shape[1]
        x = torch.cat([self.prefix(words), self.embed(batch)], dim=1)
        see = block_causal_mask(decoder_blocks(batch.block, batch.mask, num_words))
        for layer in self.layers:
            x = layer(x, see)
        return self.norm(x[:, num_words:])

    @property
    def dummy_inputs(self) -> dict[str, Any]:
        """Likewise, and words of ones."""
        inputs = super().dummy_inputs
        weight = self.norm.weight
        return inputs | {"words": weight.new_ones(len(inputs["batch"]), self.config.num_words, len(weight))}

    def prefix(self, words: Tensor) -> Tensor:
        """Embedded [words | BOS], (B, K' + 1, D), from words (B, K', D). Raises `ModelError` for another shape."""
        most = self.config.num_words
        width = self.config.hidden_size
        if words.ndim != 3 or words.shape[1] > most or words.shape[2] != width:
            raise ModelError(f"words of shape {tuple(words.shape)} are not (molecules, at most {most}, {width})")
        bos = self.embed.token(words.new_tensor([[BOS]], dtype=torch.long))
        placed = words + self.word_positions.table(words.shape[1])
        return torch.cat([placed, bos.expand(len(words), -1, -1)], dim=1)


def decoder_blocks(block: Tensor, mask: Tensor, num_words: int) -> Tensor:
    """Block index (B, S) of [words | BOS | molecule tokens] from that of the molecule tokens (B, L) and their mask."""
    head = block.new_full((len(block), num_words + 1), WORD)
    head[:, -1] = BEGIN
    return torch.cat([head, block.masked_fill(~mask, PADDING)], dim=1)


def block_causal_mask(blocks: Tensor) -> Tensor:
    """Who sees whom, (B, 1, S, S) bool, rows are queries: blocks up to its own, and no padding. Words come first, so
    that every token sees all of them, and they see each other."""
    see = (blocks.unsqueeze(1) <= blocks.unsqueeze(2)) & (blocks < PADDING).unsqueeze(1)
    return see.unsqueeze(1)
