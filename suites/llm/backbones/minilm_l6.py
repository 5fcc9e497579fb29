"""all-MiniLM-L6-v2, a sentence encoder: 6 blocks, width 384, 22.6 M parameters of which 11.7 M are embeddings

Wang et al., MiniLM, arXiv 2002.10957; tuned on a billion pairs of sentences with sentence-transformers (Reimers and
Gurevych, arXiv 1908.10084), so a linear probe on it is strong already.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.labelled.table import Text

from ..encoders.bert import TextBody, pretrained_network, remembered

SOURCES = ("minilm-l6",)
TRAITS = ("parameters", "features", "blocks", "attention", "ffn")
DESCRIBERS = ("hf_bert",)

_memory: dict[Text, Tensor] = {}


def load(generator: torch.Generator, argument: str | None = None) -> TextBody:
    """The published weights; `generator` is not used. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'minilm_l6' takes no argument, not {argument!r}")
    from transformers import BertModel

    return TextBody(pretrained_network(BertModel, _folder()), tokenize)


def tokenize(texts: Sequence[Text]) -> list[Tensor]:
    """WordPiece tokens of each text; a text is tokenised once per process."""
    return remembered(_memory, _tokenizer(), texts)


@cached_reads()
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_folder())


def _folder() -> str:
    from sparsebench.data.sources import path

    return str(path("minilm-l6", "model"))
