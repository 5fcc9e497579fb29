"""Graph2Seq: a molecule to K words (arXiv 2402.02464)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import ModelError
from .backbone import GraphsGPTPreTrainedModel, Layer, MoleculeEmbedding
from .configuration import GraphsGPTConfig
from .mask import encoder_mask
from .positions import StableEmbedding, random_permutations
from .tokens import TokenBatch

# Shapes: B molecules, L tokens, K words, D width.


class Graph2Seq(GraphsGPTPreTrainedModel):
    """Bidirectional encoder: K word queries in front of the molecule's tokens end as the graph words."""

    _stream = 1

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__(config)
        self.embed = MoleculeEmbedding(config)
        self.word = StableEmbedding(1, config.hidden_size)
        self.word_positions = StableEmbedding(config.num_words, config.hidden_size)
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_init()

    def forward(
        self, batch: TokenBatch, num_words: int | None = None, generator: torch.Generator | None = None
    ) -> Tensor:
        """Graph words (B, K, D).

        `num_words` K' <= K asks for so many words alone (the others then do not exist). `generator` draws the atom ids
        if `config.encoder_ids` is "random". Raises `ModelError` for a K' that the model has not.
        """
        words = check_words(num_words, self.config.num_words)
        x = torch.cat([self._queries(batch, words), self.embed(batch, self._permutation(batch, generator))], dim=1)
        see = encoder_mask(batch.mask, words)
        for layer in self.layers:
            x = layer(x, see)
        return self.norm(x[:, :words])

    def _queries(self, batch: TokenBatch, words: int) -> Tensor:
        queries = self.word.table() + self.word_positions.table(words)
        return queries.expand(len(batch.tokens), -1, -1)

    def _permutation(self, batch: TokenBatch, generator: torch.Generator | None) -> Tensor | None:
        if self.config.encoder_ids == "canonical":
            return None
        return random_permutations(len(batch.tokens), self.config.max_atoms, generator, batch.tokens.device)


def check_words(num_words: int | None, most: int) -> int:
    """The number of words to use; `ModelError` if the model has not so many."""
    if num_words is None:
        return most
    if not 1 <= num_words <= most:
        raise ModelError(f"num_words={num_words} must lie in 1..{most}, the words of this model")
    return num_words
