"""What a model costs and how well it predicts text that nothing was decided on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.evaluation import evaluation_mode
from sparsebench.reports.statistics import Difference, Estimate, Pairing, Score, difference, example_scores
from sparsebench.reports.statistics.estimates import Stratum, combine
from sparsebench.reports.statistics.examples import CLUSTER
from sparsebench.reports.statistics.sampling import examples_error

from .opening import check_vocabulary
from .texts import HeldOut

LENGTH = 512
"""Tokens of a held-out document that are read, at most."""
ROUNDS = 5
PROMPT = 128
NEW = 16
"""Tokens that are read, and tokens that are written, in a round of the clock."""
BITS = "bits_per_byte"

# Shapes: T tokens.


@dataclass(frozen=True)
class Row:
    """A held-out document as a model reads it: its tokens (T,) after one of context, and their bytes of text."""

    document: HeldOut
    ids: tuple[int, ...]
    bytes: int


@dataclass(frozen=True)
class Loss:
    """Bits of each document of some rows."""

    rows: Sequence[Row]
    bits: tuple[float, ...]

    @property
    def score(self) -> Score:
        """Bits per byte, the mean over domains, with what each document adds to it."""
        columns = {
            "domain": [row.document.domain for row in self.rows],
            "bits": list(self.bits),
            "bytes": [row.bytes for row in self.rows],
            CLUSTER: [row.document.whole for row in self.rows],
        }
        sums: dict[str, list[float]] = {}
        for row, bits in zip(self.rows, self.bits, strict=True):
            total = sums.setdefault(row.document.domain, [0.0, 0.0])
            total[0] += bits
            total[1] += row.bytes
        value = statistics.fmean(bits / size for bits, size in sums.values())
        return Score(value, read=lambda: example_scores(BITS, value, columns))

    @property
    def estimate(self) -> Estimate:
        """The same with its 95 % interval over documents."""
        score = self.score
        assert score.read is not None
        examples = score.read()
        error = None if examples is None else examples_error([examples])
        return combine([Stratum(score.value, 1, None, error and error.whole)]).estimate()


def paired(after: Loss, before: Loss) -> Difference:
    """The difference on the same documents, positive where `after` needs fewer bits.

    Args:
        after: of one model.
        before: of the other, on the same rows.
    """
    return difference([Pairing(((after.score, before.score),), 1)], higher_is_better=False)


def rows_of(documents: Sequence[HeldOut], tokenizer: Any, model: Any) -> list[Row]:
    """The first 512 tokens of each document, or as many as the model reads at once.

    The context of the first token is the token that begins a text, or ends one, so that every byte is predicted.

    Args:
        documents: held-out ones.
        tokenizer: a fast one.
        model: its configuration says how much it reads.

    Returns:
        The rows.

    Raises:
        ModelError: no document has two tokens, or one has a token that the model has no embedding of.
    """
    most = min(LENGTH, (getattr(model.config, "max_position_embeddings", None) or LENGTH) - 1)
    first = tokenizer.bos_token_id
    if first is None:
        first = tokenizer.eos_token_id
    if first is None:
        first = 0
    found = []
    for document in documents:
        encoded = tokenizer(document.text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)
        ids = encoded["input_ids"][:most]
        if ids:
            end = encoded["offset_mapping"][len(ids) - 1][1]
            found.append(Row(document, (first, *ids), len(document.text[:end].encode())))
    if len(found) < 2:
        raise ModelError("fewer than two held-out documents have a token: give other held-out text")
    check_vocabulary((token for row in found for token in row.ids), model)
    return found


@torch.no_grad()
def loss(model: nn.Module, rows: Sequence[Row]) -> Loss:
    """The bits that a model needs for each document.

    Args:
        model: a causal language model.
        rows: the documents.

    Returns:
        Bits by document.

    Raises:
        ModelError: they are not finite.
    """
    device = next(model.parameters()).device
    bits = []
    with evaluation_mode(model):
        for row in rows:
            ids_T = torch.tensor(row.ids, device=device)
            bits.append(_nats(model, ids_T) / math.log(2))
    if not all(map(math.isfinite, bits)):
        raise ModelError("the model puts out NaN or infinite logits on held-out text")
    return Loss(tuple(rows), tuple(bits))


def _nats(model: nn.Module, ids_T: Tensor) -> float:
    logits_TV = model(input_ids=ids_T[None], use_cache=False).logits[0, :-1].float()
    return float(nn.functional.cross_entropy(logits_TV, ids_T[1:], reduction="sum"))


@dataclass(frozen=True)
class Speed:
    """Tokens per second, by the clock: of a prompt of 128 tokens, and of 16 written after 8."""

    read: float
    written: float


@torch.no_grad()
def speeds(models: Sequence[Any], ids: Sequence[int]) -> list[Speed]:
    """How fast models are, one after the other in each of five rounds, so that all see the same machine; medians.

    Args:
        models: causal language models.
        ids: tokens of a text.

    Returns:
        One for each.
    """
    taken: list[list[tuple[float, float]]] = [[] for _ in models]
    with evaluation_mode(*models):
        for number in range(1 + ROUNDS):
            for model, own in zip(models, taken, strict=True):
                seconds = _round(model, torch.tensor([list(ids)[:PROMPT]], device=model.device))
                if number:  # the first warms up
                    own.append(seconds)
    length = min(PROMPT, len(ids))
    found = []
    for own in taken:
        read, written = (statistics.median(column) for column in zip(*own, strict=True))
        found.append(Speed(length / read, NEW / written))
    return found


def _round(model: Any, prompt_1T: Tensor) -> tuple[float, float]:
    start = perf_counter()
    model(input_ids=prompt_1T, use_cache=True)
    _wait(model)
    middle = perf_counter()
    short = prompt_1T[:, :8]
    model.generate(
        short,
        attention_mask=torch.ones_like(short),
        do_sample=False,
        max_new_tokens=NEW,
        min_new_tokens=NEW,
        pad_token_id=0,
    )
    _wait(model)
    return middle - start, perf_counter() - middle


def _wait(model: Any) -> None:
    if model.device.type != "cpu":
        torch.accelerator.synchronize()
