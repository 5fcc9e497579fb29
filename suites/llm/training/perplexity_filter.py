"""A filter of training text by a language model's perplexity: a stand-in for LLaMA-MoE v1's filter for fluency.

The paper (arXiv 2406.16554) drops about 15 % of the web text that a filter of its own finds not fluent; neither the
filter nor its scores were released. Here a text is taken for fluent if the model that is to be converted, its donor,
finds it likely. That also prefers what is repetitive or known by heart, which the paper's filter may not.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import nn

from ...contracts.context import Setup
from .data import TextRows
from .isolation import predict, token_nats
from .packing import Row


def most_likely(data: TextRows, donor: Setup, keep: float, batch_size: int) -> TextRows:
    """The data with only that fraction of each group's rows which has the lowest perplexity under the donor.

    A row is a window of text, or packed examples. At least one row of each group stays; the held-out part stays as it
    is. Raises ValueError for a donor whose tokenizer cuts the data into other tokens, and FloatingPointError where its
    perplexity is not finite.
    """
    if donor.data.fingerprint() != data.fingerprint():
        raise ValueError(
            "the donor reads the training text as other tokens than the model: perplexities of tokens can be compared "
            "only within one tokenizer; take the backbone that was converted"
        )
    kept: list[Row] = []
    for group in data.groups:
        part = data.only([group])
        nats = row_nats(donor.model, part, batch_size)
        if not all(value < float("inf") for value in nats):
            raise FloatingPointError(f"the donor's perplexity of {group!r} is NaN or infinite")
        kept += below_quantile(part.train, nats, keep)
    return replace(data, train=kept)


def below_quantile(rows: Sequence[Row], values: Sequence[float], keep: float) -> list[Row]:
    """The rows with the lowest values, `round(keep * rows)` of them and at least one, in their order."""
    count = max(1, round(keep * len(rows)))
    chosen = sorted(range(len(rows)), key=lambda number: (values[number], number))[:count]
    return [rows[number] for number in sorted(chosen)]


@torch.inference_mode()
def row_nats(model: nn.Module, data: TextRows, batch_size: int) -> list[float]:
    """Mean negative log-likelihood of the labelled tokens of each row, in nats: the logarithm of its perplexity."""
    found: list[float] = []
    for start in range(0, len(data.train), batch_size):
        rows = data.train[start : start + batch_size]
        predicted = predict(model, data.collate(rows))
        nats = token_nats(predicted).double()
        sizes = predicted.where.sum(1).tolist()
        found += [float(part.mean()) for part in nats.split(sizes)]
    return found
