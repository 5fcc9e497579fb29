"""BERT with random weights: 2 layers, width 32, bytes as tokens (smoke test only)"""

from collections.abc import Sequence

import torch
from torch import Tensor

from sparsebench.data.labelled.table import Text

from ..encoders.bert import LENGTH, TextBody, remembered
from ..small_models.byte_tokenizer import byte_tokenizer

SOURCES = ()
RANDOM_WEIGHTS = True
TRAITS = ("parameters", "features", "blocks", "attention", "ffn")
DESCRIBERS = ("hf_bert",)
DEVIATION = 0.1
"""Standard deviation of the normal distribution that the matrices are drawn from."""

_memory: dict[Text, Tensor] = {}


def load(generator: torch.Generator, argument: str | None = None) -> TextBody:
    """A fresh random model; `argument` is not used."""
    from transformers import BertConfig, BertModel

    tokenizer = byte_tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=LENGTH,
        pad_token_id=tokenizer.pad_token_id,
    )
    network = BertModel(config, add_pooling_layer=False)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim > 1:
                parameter.normal_(0, DEVIATION, generator=generator)
    return TextBody(network.eval(), tokenize)


def tokenize(texts: Sequence[Text]) -> list[Tensor]:
    """Bytes of each text."""
    return remembered(_memory, byte_tokenizer(), texts)
