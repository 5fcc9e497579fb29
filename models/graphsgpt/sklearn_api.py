"""Graph words as a transformer of scikit-learn: molecules in, feature vectors out."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from transformers import AutoModel

from ..errors import ModelError, check_choice, optional
from ..length_batches import length_batches
from .features import Pool, pooled, width_of, words_of
from .model.configuration import own_vocabulary
from .model.encoder import Graph2Seq
from .model.modeling import GraphsGPT
from .tokens.inputs import listed
from .tokens.tokenizer import Tokenizer

with optional():
    from sklearn.base import BaseEstimator, TransformerMixin
    from sklearn.utils import Tags


class GraphWords(TransformerMixin, BaseEstimator):
    """Molecules to their graph words (arXiv 2402.02464), float32 (N, width).

    `model`: a `GraphsGPT`, a `Graph2Seq`, or the folder of a saved one; it runs where it lies. `pool` "first"
    gives word 0, width D; "mean" the mean of the K words, width D; "concat" all of them, width K D. Nothing is fitted,
    and atoms have canonical ids, so that features are the same at every call. Molecules are SMILES strings, RDKit
    molecules or torch-geometric graphs, mixed; one that has no tokens gets a row of NaN, and `status_` (N,) int8 of the
    last call says why (`TokenStatus`; 0 is fine).
    """

    def __init__(
        self, model: GraphsGPT | Graph2Seq | str | Path | None = None, pool: Pool = "concat", batch_size: int = 256
    ) -> None:
        self.model = model
        self.pool: Pool = pool
        self.batch_size = batch_size

    def fit(self, X: Iterable[Any] | None = None, y: Any = None) -> GraphWords:
        """Check the parameters and the form of X, if given; raises `ModelError` for what cannot work."""
        if X is not None:
            listed(X)
        check_choice("pool", self.pool, get_args(Pool))
        length_batches([], self.batch_size)
        own_vocabulary(self._encoder().config)
        return self

    def transform(self, X: Iterable[Any]) -> NDArray[np.float32]:
        """Features (N, width), NaN where a molecule has no tokens."""
        encoder = self._encoder()
        molecules = Tokenizer(own_vocabulary(encoder.config))(X)
        self.status_ = molecules.status
        found = np.full((len(molecules), width_of(encoder, self.pool)), np.nan, dtype=np.float32)
        device = next(encoder.parameters()).device
        with torch.inference_mode():
            for rows in length_batches(molecules.lengths, self.batch_size):
                words = words_of(encoder, molecules.batch(rows).to(device))
                found[rows] = pooled(words, self.pool).float().cpu().numpy()
        return found

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """`word0`, `word1`, ...: one name for each feature."""
        return np.array([f"word{index}" for index in range(width_of(self._encoder(), self.pool))], dtype=object)

    def __sklearn_tags__(self) -> Tags:
        """Takes strings and objects, one or one column of them; nothing is learnt, so that it works without `fit`."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True  # a row without a molecule
        tags.transformer_tags.preserves_dtype = []  # float32, whatever came in
        tags.requires_fit = False
        tags.no_validation = True
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def _encoder(self) -> Graph2Seq:
        model = _load(str(self.model)) if isinstance(self.model, str | Path) else self.model
        if isinstance(model, GraphsGPT):
            model = model.encoder
        if not isinstance(model, Graph2Seq):
            raise ModelError(f"model is a {type(model).__name__}: give a GraphsGPT, a Graph2Seq or a folder of one")
        return model


@lru_cache(maxsize=1)
def _load(folder: str) -> Any:
    return AutoModel.from_pretrained(folder)
