"""GraphsGPT: both halves with the heads, trained to give back the molecule (arXiv 2402.02464)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import MODEL_MAPPING, AutoConfig
from transformers.utils.generic import ModelOutput

from ..tokens.batch import TokenBatch
from .backbone import GraphsGPTPreTrainedModel
from .configuration import GraphsGPTConfig
from .decoder import GraphGPT
from .encoder import Graph2Seq, check_words
from .heads import Heads, Predictions
from .losses import Losses, Targets, losses, targets
from .prior import WordPrior

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

    @property
    def logits(self) -> Tensor:
        """Logits of the class of the next edge, (N, 1 + bonds)."""
        assert self.predictions is not None
        return self.predictions.bond


class GraphsGPT(GraphsGPTPreTrainedModel):
    """`encoder` (`Graph2Seq`), `decoder` (`GraphGPT`) and `heads`; `prior` (`WordPrior`), which most have not."""

    core_seconds: float | None = None
    """What its training took, where it is known; not part of what is saved."""

    def __init__(self, config: GraphsGPTConfig) -> None:
        super().__init__(config)
        self.encoder = Graph2Seq(config)
        self.decoder = GraphGPT(config)
        self.heads = Heads(config)
        self.prior = WordPrior(config) if config.prior else None
        self.post_init()

    def forward(
        self,
        batch: TokenBatch,
        words: Tensor | None = None,
        num_words: int | None = None,
        generator: torch.Generator | None = None,
        source: TokenBatch | None = None,
        wanted: Tensor | None = None,
    ) -> GraphsGPTOutput:
        """Losses and predictions on a batch, with the words (B, K', D) that are given, or else those of `source`.

        `source` is by default the batch itself, and for a request the scaffolds; `wanted` (B, P) and `num_words` as in
        `Graph2Seq`. In training the number of words is drawn if `config.word_dropout` is not 0. `generator` draws it,
        and random atom ids.
        """
        if words is None:
            some = self.draw_words(generator) if num_words is None else num_words
            words = self.encoder(batch if source is None else source, some, generator, wanted)
        states = self.decoder(batch, words)
        target = targets(batch, self.config.num_atoms)
        codes = self.decoder.embed.positions.codes
        predicted = self.heads(states[target.read], codes, target.bond, target.begin.clamp(min=0))
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

    def keep_words(self, words: int) -> GraphsGPT:
        """Drop, in place, all words but the first `words`; returns the model. Raises `ModelError`."""
        self.config.num_words = check_words(words, self.config.num_words)
        for half in (self.encoder, self.decoder):
            half.word_positions.keep(words)
        return self

    def draw_words(self, generator: torch.Generator | None = None) -> int | None:
        """K' of a training call: with probability `word_dropout` uniform in 1..K, else None, which means all."""
        rate = self.config.word_dropout
        if not self.training or rate == 0 or torch.rand((), generator=generator) >= rate:
            return None
        return int(torch.randint(1, self.config.num_words + 1, (), generator=generator))


# `AutoModel` makes the class that a folder's configuration names, and a GraphsGPT where it names none.
AutoConfig.register(GraphsGPTConfig.model_type, GraphsGPTConfig, exist_ok=True)
_CLASSES: Any = (GraphsGPT, Graph2Seq, GraphGPT)
MODEL_MAPPING.register(GraphsGPTConfig, _CLASSES, exist_ok=True)
