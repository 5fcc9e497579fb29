"""Sizes and choices of a GraphsGPT model, in the form of transformers."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig

from ...errors import ModelError, check_choice
from ..tokens.vocabulary import Vocabulary

EncoderIds = Literal["canonical", "random"]
ConnectionLoss = Literal["cross_entropy", "contrastive"]
PropertyEncoding = Literal["magnitude", "faithful"]
FAITHFUL: dict[str, Any] = {
    "encoder_ids": "random",
    "predict_atoms": False,
    "connection_loss": "contrastive",
    "property_encoding": "faithful",
}
"""The choices of the paper's checkpoints."""


@strict
class GraphsGPTConfig(PreTrainedConfig):
    """Graph2Seq and GraphGPT (Gao et al., "A Graph is Worth K Words", arXiv 2402.02464); both halves have one size.

    `num_atoms`, `num_bonds`: classes of atom and bond tokens; `vocabulary` says what they are (`Vocabulary.to_dict`),
    and `GraphsGPTConfig.of(vocabulary)` sets all three. `num_words`: K, the graph words of a molecule. `max_atoms`:
    position codes, of `code_size` numbers each.

    Choices; the defaults are ours, those of the published checkpoints ("faithful") in brackets:

    - `encoder_ids`: "canonical", the position ids of the tokens as they are, or "random": a permutation of all codes
      drawn for each molecule at every call ["random"].
    - `predict_atoms`: a head for the class of a new end atom; without it the bond class must name both elements
      [False].
    - `connection_loss`: "cross_entropy" over `connection_scale` times the cosines to the codes of the present atoms
      and of the next free slot, or "contrastive" ["contrastive"].
    - `autoregressive_heads`: each part of an edge is predicted knowing those before it (`heads.AutoregressiveHeads`);
      needs `predict_atoms`. Without it they are predicted independently [False]. Configurations of older versions call
      it `chained_heads`.
    - `word_dropout`: fraction of the training calls in which only the first K' words exist, K' uniform in 1..K [0].
    - `properties`: what a molecule can be asked for, name to (mean, standard deviation) over the training molecules;
      None for a model that takes no requests. `property_encoding`: see `ConditionEmbedding` ["faithful"].
    - `prior`: sizes of the `WordPrior` from which words are drawn where nothing is asked for (`fit_prior`) [None].

    `seed` of the initial weights. Raises `ModelError` for values that cannot work.
    """

    model_type = "graphsgpt"

    num_atoms: int = 118
    num_bonds: int = 92
    num_words: int = 1
    max_atoms: int = 128
    code_size: int = 128
    hidden_size: int = 512
    intermediate_size: int = 2048
    num_hidden_layers: int = 8
    num_attention_heads: int = 8
    rms_norm_eps: float = 1e-6
    encoder_ids: str = "canonical"
    predict_atoms: bool = True
    connection_loss: str = "cross_entropy"
    connection_scale: float | int = 16.0
    autoregressive_heads: bool = False
    word_dropout: float | int = 0.0
    properties: dict | None = None
    property_encoding: str = "magnitude"
    prior: dict | None = None
    vocabulary: dict | None = None
    seed: int = 0

    def __post_init__(self, **kwargs: Any) -> None:
        # Names in configurations that older versions wrote.
        self.autoregressive_heads |= kwargs.pop("chained_heads", False)
        if self.property_encoding == "published":
            self.property_encoding = "faithful"
        super().__post_init__(**kwargs)
        self._check()

    def _check(self) -> None:
        check_choice("encoder_ids", self.encoder_ids, get_args(EncoderIds))
        check_choice("connection_loss", self.connection_loss, get_args(ConnectionLoss))
        check_choice("property_encoding", self.property_encoding, get_args(PropertyEncoding))
        if self.autoregressive_heads and not (self.predict_atoms and self.connection_loss == "cross_entropy"):
            raise ModelError("autoregressive_heads needs predict_atoms and the cross-entropy connection")
        if self.hidden_size % self.num_attention_heads:
            raise ModelError(
                f"hidden_size={self.hidden_size} is no multiple of num_attention_heads={self.num_attention_heads}"
            )
        if self.max_atoms > self.code_size:
            raise ModelError(
                f"max_atoms={self.max_atoms} exceeds code_size={self.code_size}: so many codes cannot be orthogonal"
            )
        if not 0 <= self.word_dropout <= 1:
            raise ModelError(f"word_dropout={self.word_dropout} is a fraction, 0 to 1")
        for name, statistics in (self.properties or {}).items():
            if len(statistics) != 2 or not statistics[1] > 0:
                raise ModelError(f"property {name!r} needs a mean and a standard deviation above 0, not {statistics}")

    @classmethod
    def faithful(cls, num_words: int = 1, **changes: Any) -> GraphsGPTConfig:
        """The model of the paper's checkpoints (1, 2, 4 or 8 words), with the faithful choices."""
        fields: dict[str, Any] = {"num_words": num_words} | FAITHFUL | changes
        return cls(**fields)

    @classmethod
    def of(cls, vocabulary: Vocabulary, **fields: Any) -> GraphsGPTConfig:
        """The configuration for a vocabulary; the other fields as given, choices by default those of its mode."""
        made: dict[str, Any] = {"num_atoms": len(vocabulary.nodes), "num_bonds": len(vocabulary.edges)}
        made |= FAITHFUL if vocabulary.mode == "faithful" else {}
        made |= {"vocabulary": vocabulary.to_dict()} | fields
        return cls(**made)

    @property
    def property_names(self) -> tuple[str, ...]:
        """Names of the properties in alphabetical order, which is that of the columns of a request."""
        return tuple(sorted(self.properties or ()))

    @property
    def vocab_size(self) -> int:
        """Token ids: padding, beginning of sequence, atoms, bonds."""
        return 2 + self.num_atoms + self.num_bonds

    @property
    def initializer_range(self) -> float:
        """Standard deviation of the initial linear weights."""
        return math.sqrt(2 / (self.hidden_size + self.intermediate_size))


def own_vocabulary(config: GraphsGPTConfig) -> Vocabulary:
    """The vocabulary that a model's configuration holds. Raises `ModelError` if it has none."""
    if config.vocabulary is None:
        raise ModelError("the model's configuration has no vocabulary: make it by GraphsGPTConfig.of(vocabulary)")
    return Vocabulary.from_dict(config.vocabulary)
