"""Molecules to words and words to molecules, with one object (arXiv 2402.02464, sections 3 and 4)."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import AutoModel

from ..errors import ModelError
from ..length_batches import length_batches
from .conditioning import RequestWarning, conditional_words, notes_on_request
from .decoding.config import GREEDY, SAMPLED, DecodingConfig
from .decoding.decode import decode
from .decoding.kv_cache import CachedDecoder
from .decoding.output import Decoded
from .log_likelihood import log_likelihood
from .mixup import draw_fractions, mix, mix_labels, neighbours
from .model.configuration import own_vocabulary
from .model.modeling import GraphsGPT
from .results import Encoded, Generated, no_words, read
from .tokens.batch import MoleculeTokens
from .tokens.tokenizer import TokenisedMolecules, Tokenizer

# Shapes: N molecules, K words, D width.


class GraphsGPTPipeline:
    """`encode`, `decode`, `generate`, `interpolate`, `hybridize` and `score` with a trained `GraphsGPT`.

    Molecules are SMILES strings, RDKit molecules, torch-geometric graphs or batches, mixed, or a table with a column of
    them. What cannot be read keeps its row and gets a status and a reason. Decoding is constrained to legal molecules
    unless a `DecodingConfig` says otherwise.
    `num_words`: K' <= K, how many words to use, all by default. The model is put in eval mode; make a new pipeline
    after training it. `batch_size`: molecules that are worked on at once.
    """

    def __init__(self, model: GraphsGPT, *, num_words: int | None = None, batch_size: int = 256) -> None:
        if batch_size < 1:
            raise ModelError(f"batch_size={batch_size} must be at least 1")
        self.vocabulary = own_vocabulary(model.config)
        self.model = model.eval()
        self.num_words = num_words
        self.batch_size = batch_size
        self.tokenizer = Tokenizer(self.vocabulary)
        self._cached = CachedDecoder(model, batch_size)

    @classmethod
    def from_pretrained(cls, folder: Path | str, **settings: Any) -> GraphsGPTPipeline:
        """The pipeline of a GraphsGPT that `save_pretrained` wrote, converted or not, in float32.

        `settings` are as for the class. Raises `ModelError` for another model.
        """
        model = AutoModel.from_pretrained(folder, dtype=torch.float32)
        if not isinstance(model, GraphsGPT):
            raise ModelError(f"{folder} holds a {type(model).__name__}, not a GraphsGPT")
        return cls(model, **settings)

    def __repr__(self) -> str:
        config = self.model.config
        words = self.num_words or config.num_words
        return f"GraphsGPTPipeline({self.model.num_parameters():,} parameters, {words} words of {config.hidden_size})"

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a file holds: all but the packed weights, which no file can hold and the model gives again."""
        return {name: value for name, value in self.__dict__.items() if name != "_cached"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._cached = CachedDecoder(self.model, self.batch_size)

    def tokenize(self, molecules: Iterable[Any] | Any) -> TokenisedMolecules:
        """Tokens and status of each molecule."""
        return self.tokenizer(molecules)

    def encode(self, molecules: Iterable[Any] | Any, generator: torch.Generator | None = None) -> Encoded:
        """Graph words (N, K', D) of each molecule. `generator` draws atom ids where the model was made for it."""
        tokens = self.tokenizer(molecules)
        words = self._words_of(tokens, generator)
        return Encoded(words=words, status=tokens.status, reasons=tokens.reasons)

    def decode(
        self,
        words: Tensor | np.ndarray,
        config: DecodingConfig = GREEDY,
        generator: torch.Generator | None = None,
        prefix: MoleculeTokens | None = None,
    ) -> list[Generated]:
        """One molecule for each row of words (N, K', D); a row that is not finite gets none. See `DecodingConfig`.

        Its `redraws` are for each row by itself, and `Generated.draws` says how many molecules that took.

        All molecules begin with the tokens `prefix` (4, L), if there is one.
        """
        words = torch.as_tensor(words)
        width = self.model.config.hidden_size
        if words.ndim != 3 or words.shape[2] != width:
            raise ModelError(f"words of shape {tuple(words.shape)} are not (molecules, words, {width})")
        result = [no_words("these words are not finite")] * len(words)
        wanted = words.flatten(1).isfinite().all(1).nonzero()[:, 0]
        for drawn in range(1, 2 + config.redraws):
            if not len(wanted):
                break
            for rows in wanted.split(self.batch_size):
                batch = words[rows].to(self.model.device, self.model.dtype)
                made = decode(self._cached, batch, None, config, generator, prefix)
                for row, one in zip(rows.tolist(), made, strict=True):
                    result[row] = replace(read(one, self.vocabulary), draws=drawn)
            wanted = torch.tensor([row for row in wanted.tolist() if not result[row].as_drawn], dtype=torch.long)
        return result

    def read(self, tokens: MoleculeTokens) -> Generated:
        """The molecule of tokens (4, L) that were not decoded; never raises."""
        if not tokens.shape[1]:
            return no_words("there are no tokens")
        return read(Decoded(tokens=tokens, log_prob=float("nan"), status="complete", illegal=0), self.vocabulary)

    def generate(
        self,
        n: int,
        *,
        reference: Iterable[Any] | None = None,
        noise: float = 0.0,
        scaffold: Any | None = None,
        scaffold_prefix: bool = True,
        properties: Mapping[str, float | Sequence[float]] | None = None,
        config: DecodingConfig | None = None,
        generator: torch.Generator | None = None,
        seed: int | None = None,
    ) -> list[Generated]:
        """`n` new molecules.

        With `reference` few-shot: the words of these molecules, in turn, with Gaussian noise of standard deviation
        `noise` on every number, decoded greedily. Otherwise by request, drawn at temperature 0.9, and drawn again where
        an edge would have to be repaired (`SAMPLED`; `config=DecodingConfig(temperature=1.0)` repairs): molecules that
        have `scaffold` and `properties`, each one value or `n` values in its unit; what is omitted is not asked for.
        Where nothing is, words are drawn from `model.prior`, if it has one. Properties steer and do not force.
        Molecules start as the scaffold and grow from there, unless `scaffold_prefix` is False: then it only steers,
        too. `config` replaces the way of decoding; `generator` draws, or a new one with `seed`. Raises `ModelError` for
        a scaffold or reference that cannot be read, an unknown property, and where both ways are mixed. What the model
        cannot follow well, values far from those that it was trained on and the stereo of a scaffold, is a
        `RequestWarning`.
        """
        if not isinstance(n, Integral) or isinstance(n, bool) or n < 0:
            raise ModelError(f"n={n!r} must be a whole number of molecules, 0 or more")
        n = int(n)
        generator = _generator(generator, seed)
        if reference is not None and (scaffold is not None or properties):
            raise ModelError("give either reference molecules or a request (scaffold, properties), not both")
        if reference is not None:
            return self.decode(self._noisy(n, reference, noise, generator), config or GREEDY, generator)
        words = self._requested(n, scaffold, properties or {}, generator)
        for note in notes_on_request(self.model, scaffold, properties or {}):
            warnings.warn(note, RequestWarning, stacklevel=2)
        prefix = None
        if scaffold is not None and scaffold_prefix:
            prefix = self.tokenizer([scaffold])[0]
        return self.decode(words, config or SAMPLED, generator, prefix)

    def interpolate(self, first: Any, second: Any, steps: int, config: DecodingConfig = GREEDY) -> list[Generated]:
        """Molecules at `steps` even places of the straight line between the words of two, both ends included.

        The ends are what the words of the two decode to: the two themselves where the model reconstructs them.
        """
        one, other = self._must_encode([first, second])
        fraction = torch.linspace(0, 1, steps)[:, None, None]
        return self.decode(one + fraction * (other - one), config)

    def mixup(
        self,
        molecules: Iterable[Any],
        labels: Tensor,
        *,
        alpha: float = 1.0,
        rank: int = 2,
        classes: int | None = None,
        config: DecodingConfig = GREEDY,
        generator: torch.Generator | None = None,
    ) -> tuple[list[Generated], Tensor]:
        """Each molecule mixed with its `rank`-th nearest neighbour in the space of words, and the labels likewise.

        The share of the first is Beta(alpha, alpha). `labels` (N, T) with NaN where one is missing, or (N,) int64 class
        numbers of `classes`, which become shares (N, classes); see `mix_labels`. A molecule without words keeps its
        row, without a molecule and with NaN labels. Raises `ModelError` for fewer than two molecules with words, and
        for more or fewer labels than molecules.
        """
        generator = generator or torch.Generator().manual_seed(0)
        words = self.encode(molecules, generator).words
        if len(labels) != len(words):
            raise ModelError(f"{len(labels)} labels for {len(words)} molecules: give one row for each")
        ok = words.flatten(1).isfinite().all(1).nonzero()[:, 0]
        known, given = words[ok], labels[ok]
        partner = neighbours(known, rank)
        fraction = draw_fractions(len(known), alpha, generator)
        words[ok] = mix(known, known[partner], fraction)
        mixed = mix_labels(given, given[partner], fraction, classes)
        result = mixed.new_full((len(words), *mixed.shape[1:]), torch.nan)
        result[ok] = mixed
        return self.decode(words, config), result

    def hybridize(
        self, target: Any, others: Iterable[Any], slots: Sequence[int], config: DecodingConfig = GREEDY
    ) -> list[Generated]:
        """Each of `others` with the words number `slots` taken from `target`. Raises `ModelError` for other slots."""
        words_NKD = self.encode(others).words.clone()
        chosen = list(slots)
        most = self.num_words or self.model.config.num_words
        for slot in chosen:
            if not 0 <= slot < most:
                raise ModelError(f"slots {chosen} must lie in 0..{most - 1}, the words of this pipeline")
        words_NKD[:, chosen] = self._must_encode([target])[0, chosen]
        return self.decode(words_NKD, config)

    def score(self, molecules: Iterable[Any] | Any, words: Tensor | None = None) -> Tensor:
        """Log-likelihood (N,), in nats, of each molecule given `words` (N, K', D), by default its own; NaN without.

        Raises `ModelError` for words of more or fewer molecules.
        """
        tokens = self.tokenizer(molecules)
        if words is None:
            words = self._words_of(tokens)
        if len(words) != len(tokens):
            raise ModelError(f"words of {len(words)} molecules for {len(tokens)} molecules: give one row for each")
        scores_N = torch.full((len(tokens),), torch.nan)
        for numbers in length_batches(tokens.lengths, self.batch_size):
            rows = torch.from_numpy(numbers)
            batch = tokens.batch(numbers).to(self.model.device)
            given = words[rows].to(self.model.device, self.model.dtype)
            scores_N[rows] = log_likelihood(self.model, batch, given).cpu()
        return scores_N

    @torch.no_grad()
    def _words_of(self, tokens: TokenisedMolecules, generator: torch.Generator | None = None) -> Tensor:
        """Graph words (N, K', D), NaN where there are no tokens."""
        words_NKD = self._empty_words(len(tokens))
        for rows in length_batches(tokens.lengths, self.batch_size):
            batch = tokens.batch(rows).to(self.model.device)
            words_NKD[torch.from_numpy(rows)] = self.model.encoder(batch, self.num_words, generator).float().cpu()
        return words_NKD

    def _empty_words(self, rows: int) -> Tensor:
        config = self.model.config
        return torch.full((rows, self.num_words or config.num_words, config.hidden_size), torch.nan)

    def _requested(
        self,
        n: int,
        scaffold: Any | None,
        properties: Mapping[str, float | Sequence[float]],
        generator: torch.Generator | None,
    ) -> Tensor:
        """Words (n, K', D) of a request; of one for nothing, words that molecules have, where the model knows such."""
        if self.model.prior is not None and scaffold is None and not properties:
            return self.model.prior.draw(n, generator)[:, : self.num_words or self.model.config.num_words]
        words_NKD = self._empty_words(n)
        for rows in torch.arange(n).split(self.batch_size):
            values = {name: _part(name, value, n, rows) for name, value in properties.items()}
            found = conditional_words(
                self.model, self.tokenizer, len(rows), scaffold, values, self.num_words, generator
            )
            words_NKD[rows] = found.float().cpu()
        return words_NKD

    def _must_encode(self, molecules: Sequence[Any], generator: torch.Generator | None = None) -> Tensor:
        encoded = self.encode(molecules, generator)
        for molecule, reason in zip(molecules, encoded.reasons, strict=True):
            if reason:
                raise ModelError(f"{molecule!r} cannot be used: {reason}")
        return encoded.words

    def _noisy(self, n: int, reference: Iterable[Any], noise: float, generator: torch.Generator | None) -> Tensor:
        molecules = list(reference)
        if not molecules or noise < 0:
            raise ModelError(f"few-shot needs reference molecules, got {len(molecules)}, and noise >= 0, got {noise}")
        words = self._must_encode(molecules, generator)[torch.arange(n) % len(molecules)]
        return words + noise * torch.randn(words.shape, generator=generator)


def _generator(given: torch.Generator | None, seed: int | None) -> torch.Generator | None:
    if given is not None and not isinstance(given, torch.Generator):
        raise ModelError(f"generator={given!r} must be a torch.Generator; a number is given as seed=")
    if seed is None:
        return given
    if given is not None or not isinstance(seed, Integral):
        raise ModelError(f"seed={seed!r}: give one whole number, or a generator in its place")
    return torch.Generator().manual_seed(int(seed))


def _part(name: str, value: float | Sequence[float], n: int, rows: Tensor) -> Tensor:
    """The values of a property for some of the n molecules."""
    try:
        values = torch.as_tensor(np.asarray(value, dtype=np.float32))
    except (TypeError, ValueError):
        raise ModelError(f"property {name!r} is wanted to be {value!r}, which is no number") from None
    if not values.isfinite().all():
        raise ModelError(f"property {name!r} is wanted to be {value}: give finite numbers, and omit what is not wanted")
    if values.ndim > 1 or (values.ndim == 1 and len(values) != n):
        raise ModelError(f"property {name!r} needs one value or {n}, not an array of shape {tuple(values.shape)}")
    return values.expand(n)[rows]
