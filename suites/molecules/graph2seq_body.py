"""Graph2Seq, the encoder of GraphsGPT, as the body of a molecule task (arXiv 2402.02464, section 4)."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, get_args

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

from ..prediction.padding import Padded, pad
from ..prediction.task import Body
from .bodies import remember

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
        return TokenBatch(**{name: tensor for name, tensor in self._asdict().items() if name != "attention_mask"})


class Graph2SeqBody(Body):
    """SMILES -> features (N, width) of a `Graph2Seq`, or of the encoder of a `GraphsGPT`.

    `pool`: "first" takes word 0 (the paper), "mean" the mean of the K words, "concat" all of them, width K D. Atoms
    have their canonical ids, whatever `encoder_ids` says: features are the same at every call. A molecule that the
    tokenizer refuses (a radical, more than 128 atoms) keeps its row, without a token: its features are those of no
    molecule; `refused_share` says how many did. Raises `ModelError` for another `pool` and for a model whose
    configuration has no vocabulary.

    `generator` is the whole `GraphsGPT` if one was given, else None: a method may decode words with it. Its decoder is
    no part of the body: it is not trained, counted or saved. Copies of the body have copies of it.
    """

    unit = "molecule"
    padded = True

    def __init__(self, model: Graph2Seq | GraphsGPT, pool: Pool = "first") -> None:
        super().__init__()
        check_choice("pool", pool, get_args(Pool))
        whole = isinstance(model, GraphsGPT)
        self._whole = (model,) if whole else ()  # in a tuple, which torch does not search for modules
        self.network = model.encoder if whole else model
        self.vocabulary = own_vocabulary(self.network.config)
        self.pool: Pool = pool
        self.num_words, self.width = model.config.num_words, width_of(self.network, pool)
        self._refused = self._encoded = 0

    @property
    def generator(self) -> GraphsGPT | None:
        """The model that the encoder belongs to."""
        return self._whole[0] if self._whole else None

    @property
    def refused_share(self) -> float:
        """Share of all molecules that went through `encode` and have no tokens."""
        return self._refused / max(1, self._encoded)

    def encode(self, raw: Sequence[str]) -> list[Tensor]:
        """Tokens, int16 (L, 4), of each SMILES. Raises ValueError with the row of an invalid string."""
        items = remember(_tokens.setdefault(self.vocabulary, {}), raw, self._tokenise)
        self._encoded += len(items)
        self._refused += sum(len(item) == 0 for item in items)
        return items

    def _tokenise(self, raw: Sequence[str]) -> list[Tensor]:
        found = _tokenizer(self.vocabulary)(raw)
        if TokenStatus.INVALID in found.status or TokenStatus.EMPTY in found.status:
            parse(raw)  # raises, unless RDKit reads them after all: then they are refused like others
        return [torch.from_numpy(np.ascontiguousarray(found[row].T)) for row in range(len(found))]

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
        return list(result) if isinstance(result, Tensor) else result.rows()

    def join(self, items: list[Tensor]) -> Any:
        """The inverse of `split`, up to the amount of padding."""
        return torch.stack(items) if items[0].ndim == 1 else pad(items)

    def _embed(self, inputs: Molecules) -> Padded:
        return Padded(*self.network.embed_input(inputs.batch(), self.num_words, canonical=True))

    def _block(self, layer: nn.Module, inputs: Padded) -> Padded:
        return inputs._replace(values=layer(inputs.values, inputs.attention_mask[:, None, None]))

    def _features(self, inputs: Padded) -> Tensor:
        return pooled(self.network.norm(inputs.values[:, : self.num_words]), self.pool)


@functools.cache
def _tokenizer(vocabulary: Vocabulary) -> Tokenizer:
    return Tokenizer(vocabulary)


def describe_body(body: Any) -> Anatomy:
    """The anatomy of a `Graph2SeqBody`: that of the encoder inside."""
    return replace(describe(body.network), model=body)


register_describer(Graph2SeqBody, describe_body)
