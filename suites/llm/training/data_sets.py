"""The groups of rows of text as data sets of a mixture, by where the text comes from or by what it says."""

from collections.abc import Mapping
from typing import Any, Literal

from ...contracts.context import Context, Setup
from ...training.mixing.held_out import LOSSES, HeldOut, measure
from ...training.mixing.rows import DataSets, grouped
from ...training.processes import Processes
from ..encoders.bert import TextBody
from .data import TextRows
from .isolation import model_inputs
from .packing import Row
from .sentence_groups import by_sentences

By = Literal["source", "sentences"]
"""What makes a data set: the group that the task gives a row, or a cluster of sentence embeddings."""
ENCODER = "minilm_l6"
"""The backbone that embeds sentences."""


def partition(data: TextRows, by: By, clusters: int, context: Context) -> TextRows:
    """The data with their data sets as groups."""
    if by == "source":
        return data
    seed = context.task_generator("clusters").initial_seed()
    return by_sentences(data, sentence_encoder(context), clusters, seed)


def sentence_encoder(context: Context) -> TextBody:
    """The encoder of sentences, as its file loads it."""
    return context.further[ENCODER](context.generator(f"backbone-init {ENCODER}"))


def data_sets(data: TextRows) -> DataSets:
    """Rows by group. Raises ValueError for a group without held-out rows."""
    train = grouped(data.train, _group, data.groups)
    return DataSets(train, grouped(data.held_out, _group, data.groups), data.collate)


def held_out(data: TextRows, batches: Mapping[str, list[Any]], context: Context) -> HeldOut:
    """How a language model reads held-out batches: for the task's loss, or past its routers alone."""
    return HeldOut(batches=batches, loss=context.loss, weight=data.weight, forward=read_past, dtype=context.dtype)


def read_past(model: Any, batch: Mapping[str, Any]) -> Any:
    """Let a batch pass the blocks of a model; of each row one token is projected on the vocabulary."""
    return model(**model_inputs(model, batch), logits_to_keep=1)


def reference_losses(donor: Setup, data: TextRows, read: HeldOut) -> dict[str, float]:
    """The held-out loss of each data set under a reference model, in nats per token.

    `data`: as the task gave them, to compare with what the donor got. Raises ValueError for a donor whose tokenizer
    cuts them into other tokens.
    """
    if donor.data.fingerprint() != data.fingerprint():
        raise ValueError(
            "the reference model reads the text as other tokens than the model: losses of tokens can be compared only "
            "within one tokenizer; take the backbone that was converted, or one trained from it"
        )
    processes = Processes(next(donor.model.parameters()).device)
    losses = measure(donor.model, read, frozenset({LOSSES}), processes).losses
    assert losses is not None
    return dict(losses)


def _group(row: Row) -> str:
    return row.group
