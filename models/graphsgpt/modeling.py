"""GraphsGPT: both halves with the heads, trained to give back the molecule (arXiv 2402.02464)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers.utils.generic import ModelOutput

from .backbone import GraphsGPTPreTrainedModel
from .configuration import GraphsGPTConfig
from .decoder import GraphGPT
from .encoder import Graph2Seq
from .heads import Heads, Predictions
from .losses import Losses, Targets, losses, targets
from .tokens import TokenBatch

# Shapes: B molecules, L tokens, K words, D width, N states that predict, M molecules with at least one token.


@dataclass
class GraphsGPTOutput(ModelOutput):
    """`loss` is the sum of `losses`; `predictions` are those of the N states of `targets`, `first_atom` the logits
    (M, atoms), `words` (B, K, D)."""

    loss: Tensor | None = None
    losses: Losses | None = None
    predictions: Predictions | None = None
    first_atom: Tensor | None = None
    targets: Targets | None = None
    words: Tensor | None = None


class GraphsGPT(GraphsGPTPreTrainedModel):
    """`encoder` (`Graph2Seq`), `decoder` (`GraphGPT`) and `heads`."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__(config)
        self.encoder = Graph2Seq(config)
        self.decoder = GraphGPT(config)
        self.heads = Heads(config)
        self.post_init()

    def forward(
        self,
        batch: TokenBatch,
        words: Tensor | None = None,
        num_words: int | None = None,
        generator: torch.Generator | None = None,
    ) -> GraphsGPTOutput:
        """Losses and predictions on a batch, with its own words unless `words` (B, K', D) are given.

        `num_words` as in `Graph2Seq`; in training it is drawn if `config.word_dropout` is not 0. `generator` draws it,
        and random atom ids.
        """
        if words is None:
            words = self.encoder(batch, self._num_words(num_words, generator), generator)
        states = self.decoder(batch, words)
        target = targets(batch, self.config.num_atoms)
        codes = self.decoder.embed.positions.codes
        predicted = self.heads(states[target.read], codes)
        first_atom = self.heads.first_atom(states[target.read[:, 0], 0])
        parts = losses(predicted, first_atom, target, codes, self.config)
        return GraphsGPTOutput(
            loss=parts.total,
            losses=parts,
            predictions=predicted,
            first_atom=first_atom,
            targets=target,
            words=words,
        )

    def _num_words(self, num_words: int | None, generator: torch.Generator | None) -> int | None:
        """K' as asked for, or with probability `word_dropout` in training uniform in 1..K."""
        share = self.config.word_dropout
        if num_words is not None or not self.training or share == 0:
            return num_words
        if torch.rand((), generator=generator) >= share:
            return None
        return int(torch.randint(1, self.config.num_words + 1, (), generator=generator))
