"""all-mpnet-base-v2, a sentence encoder of BERT-base's shape: 12 blocks, width 768, 108.9 M parameters

Song et al., MPNet, arXiv 2004.09297; tuned on a billion pairs of sentences with sentence-transformers (Reimers and
Gurevych, arXiv 1908.10084). 85.0 M parameters are in the blocks. From five packages, 395 MB: for `full` profiles.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.labelled.table import Text

from ..encoders.bert import pretrained_network, remembered
from ..encoders.mpnet import MPNetBody

SOURCES = ("mpnet-base-1", "mpnet-base-2", "mpnet-base-3", "mpnet-base-4", "mpnet-base-5")
TRAITS = ("parameters", "features", "blocks", "attention", "ffn")
DESCRIBERS = ("hf_bert",)

_memory: dict[Text, Tensor] = {}


def load(generator: torch.Generator, argument: str | None = None) -> MPNetBody:
    """The published weights; `generator` is not used. Raises ValueError for an argument: there is nothing to choose."""
    if argument is not None:
        raise ValueError(f"backbone 'mpnet_base' takes no argument, not {argument!r}")
    from transformers import MPNetModel

    return MPNetBody(pretrained_network(MPNetModel, _folder()), tokenize)


def tokenize(texts: Sequence[Text]) -> list[Tensor]:
    """WordPiece tokens of each text; a text is tokenised once per process."""
    return remembered(_memory, _tokenizer(), texts)


@cached_reads()
def _tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(_folder())


def _folder() -> str:
    from sparsebench.data.mpnet_base import mpnet_base

    return str(mpnet_base())
