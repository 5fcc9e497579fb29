"""Graph words of molecules as features: Graph2Seq, the encoder of GraphsGPT (arXiv 2402.02464, section 4)."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Anatomy, describe, register_describer
from sparsebench.models.errors import check_choice
from sparsebench.models.graphsgpt import TokenBatch, Tokenizer, TokenStatus, Vocabulary, collate
from sparsebench.models.graphsgpt.features import Pool, pooled, width_of
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary
from sparsebench.models.graphsgpt.model.encoder import Graph2Seq
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.molecules.smiles import parse

from ...contracts.traits import GRAPH_WORDS
from ...prediction.feature_extractor import FeatureExtractor
from ...prediction.padding import Padded, pad
from .once import featurise_once

# Shapes: B molecules, L tokens of the longest of them, K words, D width.

_tokens: dict[Vocabulary, dict[str, Tensor]] = {}


class Molecules(NamedTuple):
    """A `TokenBatch` whose mask of keys, (B, K + L), counts the words in front too: as blocks see it."""

    tokens: Tensor
    positions: Tensor
    is_node: Tensor
    mask: Tensor
    lengths: Tensor
    block: Tensor
    attention_mask: Tensor

    def to(self, device: Any, non_blocking: bool = False) -> "Molecules":
        """The same on a device."""
        return Molecules(*(tensor.to(device, non_blocking=non_blocking) for tensor in self))

    def batch(self) -> TokenBatch:
        """What the model takes."""
        fields = self._asdict()
        del fields["attention_mask"]
        return TokenBatch(**fields)


class Graph2SeqBody(FeatureExtractor):
    """SMILES -> features (N, width) of a `Graph2Seq`, or of the encoder of a `GraphsGPT`.

    `pool`: "first" takes word 0 (the paper), "mean" the mean of the K words, "concat" all of them, width K D. Atoms
    have their canonical ids, whatever `encoder_ids` says: features are the same at every call. A molecule that the
    tokenizer refuses (a radical, more than 128 atoms) keeps its row, without a token: its features are those of no
    molecule; `refused_fraction` says how many did. Raises `ModelError` for another `pool` and for a model whose
    configuration has no vocabulary.

    `generator` is the whole `GraphsGPT` if one was given, else None: a method may decode words with it. Its decoder is
    no part of the body: it is not trained, counted or saved. Copies of the body have copies of it.
    """

    unit = "molecule"
    traits = (GRAPH_WORDS,)
    padded = True

    def __init__(self, model: Graph2Seq | GraphsGPT, pool: Pool = "first") -> None:
        super().__init__()
        check_choice("pool", pool, get_args(Pool))
        # In a tuple, which torch does not search for modules: the decoder is no part of the body.
        self._whole: tuple[GraphsGPT, ...] = ()
        if isinstance(model, GraphsGPT):
            self._whole = (model,)
            self.network = model.encoder
        else:
            self.network = model
        self.vocabulary = own_vocabulary(self.network.config)
        self.pool: Pool = pool
        self.num_words = model.config.num_words
        self.width = width_of(self.network, pool)
        self._encoded = 0
        self._refused = 0

    @property
    def generator(self) -> GraphsGPT | None:
        """The model that the encoder belongs to."""
        return self._whole[0] if self._whole else None

    @property
    def refused_fraction(self) -> float:
        """Fraction of all molecules that went through `encode` and have no tokens."""
        return self._refused / max(1, self._encoded)

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Tokens, int16 (L, 4), of each SMILES. Raises ValueError with the row of an invalid string."""
        known = _tokens.setdefault(self.vocabulary, {})
        items = featurise_once(known, raw, self._tokenise)
        self._encoded += len(items)
        self._refused += sum(len(item) == 0 for item in items)
        return items

    def _tokenise(self, raw: Sequence[str]) -> list[Tensor]:
        found = _tokenizer(self.vocabulary)(raw)
        if TokenStatus.INVALID in found.status or TokenStatus.EMPTY in found.status:
            parse(raw)  # raises, unless RDKit reads them after all: then they are refused like others
        items = []
        for row in range(len(found)):
            tokens_L4 = np.ascontiguousarray(found[row].T)
            items.append(torch.from_numpy(tokens_L4))
        return items

    def collate(self, items: list[Tensor]) -> Molecules:
        """Tokens (L, 4) as one batch."""
        batch = collate([item.numpy().T for item in items])
        seen = torch.cat([batch.mask.new_ones(len(batch), self.num_words), batch.mask], dim=1)
        return Molecules(**vars(batch), attention_mask=seen)

    def forward(self, inputs: Molecules) -> Tensor:
        """Features of shape (B, width)."""
        return pooled(self.words(inputs), self.pool)

    def words(self, inputs: Molecules) -> Tensor:
        """Graph words (B, K, D)."""
        result: Any = inputs
        for stage in self.stages()[:-1]:
            result = stage(result)
        return self.network.norm(result.values[:, : self.num_words])

    def stages(self) -> Sequence[Callable[[Any], Any]]:
        """Embeddings, blocks, pool; states (B, K + L, D), words first, go from one to the next with their mask."""
        return (self._embed, *(partial(self._block, layer) for layer in self.network.layers), self._features)

    def split(self, result: Any) -> list[Tensor]:
        """States (K + tokens, D) or features (width,) of each molecule, without padding."""
        if isinstance(result, Tensor):
            return list(result)
        return result.rows()

    def join(self, items: list[Tensor]) -> Any:
        """The inverse of `split`, up to the amount of padding."""
        if items[0].ndim == 1:
            return torch.stack(items)
        return pad(items)

    def _embed(self, inputs: Molecules) -> Padded:
        return Padded(*self.network.embed_input(inputs.batch(), self.num_words, canonical=True))

    def _block(self, layer: nn.Module, inputs: Padded) -> Padded:
        return inputs._replace(values=layer(inputs.values, inputs.attention_mask[:, None, None]))

    def _features(self, inputs: Padded) -> Tensor:
        return pooled(self.network.norm(inputs.values[:, : self.num_words]), self.pool)


@functools.cache
def _tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    return Tokenizer(vocabulary)


def pool_of(backbone: str, argument: str | None) -> Pool:
    """The pool that the argument of `backbone` names, "first" by default. Raises ValueError for another."""
    if argument is None:
        return "first"
    known = get_args(Pool)
    if argument not in known:
        raise ValueError(
            f"backbone {backbone!r} wants one of {', '.join(known)}, as in {backbone}:mean, not {argument!r}"
        )
    return cast(Pool, argument)


def describe_body(body: Any) -> Anatomy:
    """The anatomy of a `Graph2SeqBody`: that of the encoder inside."""
    return replace(describe(body.network), model=body)


register_describer(Graph2SeqBody, describe_body)
