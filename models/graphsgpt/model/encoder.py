"""Graph2Seq: a molecule to K words (arXiv 2402.02464)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...errors import ModelError
from ..tokens.batch import TokenBatch
from .backbone import GraphsGPTPreTrainedModel, Layer, MoleculeEmbedding
from .conditions import ConditionEmbedding
from .configuration import GraphsGPTConfig
from .positions import StableEmbedding, random_permutations

# Shapes: B molecules, L tokens, K words, P properties, D width.


class Graph2Seq(GraphsGPTPreTrainedModel):
    """Bidirectional encoder: K word queries in front of the molecule's tokens end as the graph words.

    With `config.properties` it also takes requests: the words of a molecule that is not known yet, from properties that
    it should have and a scaffold that it should hold.
    """

    base_model_prefix = "encoder"  # under which a whole GraphsGPT has it: its folder is read, too
    _stream = 1

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__(config)
        self.embed = MoleculeEmbedding(config)
        self.word = StableEmbedding(1, config.hidden_size)
        self.word_positions = StableEmbedding(config.num_words, config.hidden_size)
        self.condition = ConditionEmbedding(config) if config.properties else None
        self.layers = nn.ModuleList(Layer(config) for _ in range(config.num_hidden_layers))
        self.norm = nn.RMSNorm(config.hidden_size, eps=config.rms_norm_eps)
        self.post_init()

    def forward(
        self,
        batch: TokenBatch,
        num_words: int | None = None,
        generator: torch.Generator | None = None,
        wanted: Tensor | None = None,
    ) -> Tensor:
        """Graph words (B, K, D).

        `num_words` K' <= K asks for so many words alone (the others then do not exist). `generator` draws the atom ids
        if `config.encoder_ids` is "random". With `wanted` (B, P), one column for each of `config.property_names`,
        in its unit and NaN where nothing is asked, the batch holds scaffolds, or no tokens where there is none. Raises
        `ModelError` for a K' that the model has not, and for requests that it does not take.
        """
        words = check_words(num_words, self.config.num_words)
        x, seen = self.embed_input(batch, words, generator, wanted)
        see = seen[:, None, None]
        for layer in self.layers:
            x = layer(x, see)
        return self.norm(x[:, :words])

    def embed_input(
        self,
        batch: TokenBatch,
        words: int,
        generator: torch.Generator | None = None,
        wanted: Tensor | None = None,
        *,
        canonical: bool = False,
    ) -> tuple[Tensor, Tensor]:
        """[words | properties | molecule tokens] (B, S, D), and which of them exist, bool (B, S).

        With `canonical`, atoms have their canonical ids whatever the configuration says.
        """
        queries = (self.word.table() + self.word_positions.table(words)).expand(len(batch), -1, -1)
        seen = batch.mask.new_ones(len(batch), words)
        tokens = self.embed(batch, None if canonical else self._permutation(batch, generator))
        if wanted is None:
            return torch.cat([queries, tokens], dim=1), torch.cat([seen, batch.mask], dim=1)
        condition = self._condition(wanted, len(batch))
        asked, present = condition(wanted)
        parts = [queries + condition.mark.table(), asked, tokens]
        return torch.cat(parts, dim=1), torch.cat([seen, present, batch.mask], dim=1)

    def _condition(self, wanted: Tensor, molecules: int) -> ConditionEmbedding:
        if self.condition is None:
            raise ModelError("this model takes no requests: its configuration has no properties")
        expected = (molecules, len(self.config.property_names))
        if wanted.shape != expected:
            raise ModelError(f"wanted properties of shape {tuple(wanted.shape)}, not {expected}")
        return self.condition

    def _permutation(self, batch: TokenBatch, generator: torch.Generator | None) -> Tensor | None:
        if self.config.encoder_ids == "canonical":
            return None
        return random_permutations(len(batch.tokens), self.config.max_atoms, generator, batch.tokens.device)


def check_words(num_words: int | None, most: int) -> int:
    """The number of words to use.

    Raises:
        ModelError: the model has not so many.
    """
    if num_words is None:
        return most
    if not 1 <= num_words <= most:
        raise ModelError(f"num_words={num_words} must lie in 1..{most}, the words of this model")
    return num_words
