"""Preference pairs made of instruction data, and the loss of direct preference optimisation (DPO).

A pair is a prompt with its right answer and with another answer of the same data set. Both stand in one row, packed, so
that neither sees the other; the log-probability of an answer is the sum over its tokens, what ends it included.
"""

import warnings
from collections.abc import Mapping, Sequence, Sized
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.evaluation import evaluation_mode

from ...contracts.method import NotApplicable
from .data import TextRows
from .isolation import predict, token_nats
from .packing import IGNORED, Example, Row, collate

# Shapes: P pairs of a batch, N tokens of answers in it.

CHOSEN, REJECTED = 0, 1
"""Places in a row."""


def preference_pairs(data: TextRows, generator: torch.Generator) -> list[Row]:
    """A row (chosen, rejected) for each example with a prompt, in their order.

    The rejected answer is drawn from the other answers of the example's data set, all different ones equally likely;
    one that would not fit into a row of the data loses its end. Examples without a prompt (of an answer that fills a
    row, the prompt was cut off) make no pair. A data set with one answer only makes none either: a warning names it.
    Raises `NotApplicable` for data without prompts, and ValueError where no data set has two answers.
    """
    examples = [example for row in data.train for example in row.examples if prompt_length(example) > 1]
    if not examples:
        raise NotApplicable("the training data are plain text, without prompts and answers to prefer one of")
    answers: dict[str, dict[tuple[int, ...], int]] = {}
    for example in examples:
        known = answers.setdefault(data_set_of(example), {})
        known.setdefault(answer_of(example), len(known))
    _check_choice(answers)
    lists = {name: list(known) for name, known in answers.items()}
    pairs = []
    for example in examples:
        name = data_set_of(example)
        if len(lists[name]) == 1:
            continue
        drawn = int(torch.randint(len(lists[name]) - 1, (), generator=generator))
        if drawn >= answers[name][answer_of(example)]:  # the right one cannot be drawn: those behind it move up
            drawn += 1
        pairs.append(_pair(example, lists[name][drawn], data.length))
    return pairs


def data_set_of(example: Example) -> str:
    """Group and name of its data set."""
    return f"{example.group}/{example.source}"


def _check_choice(answers: Mapping[str, Sized]) -> None:
    lone = sorted(name for name, known in answers.items() if len(known) == 1)
    if len(lone) == len(answers):
        raise ValueError(f"each data set has one answer only, so there is none to reject: {', '.join(lone)}")
    if lone:
        warnings.warn(f"no preference pairs of data sets with one answer only: {', '.join(lone)}", stacklevel=3)


def prompt_length(example: Example) -> int:
    """Tokens before the answer; 1 for plain text, whose first token is never learnt."""
    return next(place for place, label in enumerate(example.labels) if label != IGNORED)


def answer_of(example: Example) -> tuple[int, ...]:
    """The tokens of the answer."""
    return example.ids[prompt_length(example) :]


def _pair(example: Example, wrong: tuple[int, ...], length: int) -> Row:
    prompt = prompt_length(example)
    wrong = wrong[: length - prompt]
    rejected = replace(
        example,
        name=f"{example.name}, rejected",
        ids=example.ids[:prompt] + wrong,
        labels=(IGNORED,) * prompt + wrong,
    )
    return Row(example.group, (example, rejected))


def collate_pairs(pairs: Sequence[Row], device: torch.device) -> dict[str, Any]:
    """A batch of packed pairs, as long as the longest."""
    return collate(pairs, max(len(pair) for pair in pairs), device)


def count_pairs(batch: Mapping[str, Any]) -> float:
    """Over how many pairs the loss of a batch is a mean."""
    return float(len(batch["input_ids"]))


def answer_log_probs(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """Log-probability (P, 2), in nats, of the chosen and the rejected answer of each pair, given the prompt."""
    predicted = predict(model, batch)
    nats_N = token_nats(predicted)
    pair_N = predicted.where.nonzero()[:, 0]
    side_N = batch["sequence_ids"][predicted.where]
    sums = nats_N.new_zeros(2 * len(batch["input_ids"]))
    return sums.index_add(0, 2 * pair_N + side_N, -nats_N).view(-1, 2)


@torch.no_grad()
def reference_log_probs(model: nn.Module, pairs: Sequence[Row], batch_size: int, device: torch.device) -> list[Tensor]:
    """The same (2,) of each pair by the model as it is now, in eval mode; modes are left as they were."""
    found: list[Tensor] = []
    with evaluation_mode(model):
        for start in range(0, len(pairs), batch_size):
            batch = collate_pairs(pairs[start : start + batch_size], device)
            found += answer_log_probs(model, batch).unbind(0)
    return found


def dpo_loss(policy_P2: Tensor, reference_P2: Tensor, beta: float) -> Tensor:
    """-log sigmoid(beta ((log p(chosen) - log q(chosen)) - (log p(rejected) - log q(rejected)))), the mean over pairs.

    p is the model that trains and q the one before training (Rafailov et al., arXiv 2305.18290, equation 7); both (P,
    2). log 2 where they are the same.
    """
    gained_P2 = policy_P2 - reference_P2
    margin_P = gained_P2[:, CHOSEN] - gained_P2[:, REJECTED]
    return -nn.functional.logsigmoid(beta * margin_P).mean()
