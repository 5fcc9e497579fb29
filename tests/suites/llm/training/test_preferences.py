"""Preference pairs, and the loss of DPO against a computation by hand in float64."""

import copy
import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.training.data import TextRows
from sparsebench.suites.llm.training.packing import IGNORED, Example, Row, pack
from sparsebench.suites.llm.training.preferences import (
    answer_log_probs,
    answer_of,
    collate_pairs,
    dpo_loss,
    preference_pairs,
    prompt_length,
    reference_log_probs,
)

CPU = torch.device("cpu")
BETA = 0.1


def example(prompt: Sequence[int], answer: Sequence[int], source: str = "sums") -> Example:
    ids = (*prompt, *answer)
    labels = (*[IGNORED] * len(prompt), *answer)
    return Example(f"{source} {list(ids)}", "mathematics", ids, labels, source=source)


def rows(*examples: Example, length: int = 12) -> TextRows:
    return TextRows(pack(examples, length), [], length, True, CPU)


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


EXAMPLES = [
    example([5, 6, 7], [40, 3]),
    example([5, 8], [41, 42, 3]),
    example([5, 9], [40, 3]),
    example([5, 10], [43, 3]),
    example([11, 12], [50, 51, 52, 3], "capitals"),
    example([11, 13], [60, 3], "capitals"),
]


def test_the_rejected_answer_is_another_one_of_the_same_data_set() -> None:
    seen: dict[tuple[int, ...], set[tuple[int, ...]]] = {}
    for seed in range(40):
        pairs = preference_pairs(rows(*EXAMPLES), draws(seed))
        assert {pair.examples[0].ids for pair in pairs} == {one.ids for one in EXAMPLES} and len(pairs) == 6
        for pair in pairs:
            chosen, rejected = pair.examples
            prompt = prompt_length(chosen)
            assert rejected.ids[:prompt] == chosen.ids[:prompt] and rejected.labels[:prompt] == (IGNORED,) * prompt
            assert answer_of(rejected) != answer_of(chosen) and rejected.group == chosen.group
            seen.setdefault(chosen.ids, set()).add(answer_of(rejected))
    assert seen[5, 6, 7, 40, 3] == {(41, 42, 3), (43, 3)}, "the answer of another question that is the same is no other"
    assert seen[5, 8, 41, 42, 3] == {(40, 3), (43, 3)}
    assert seen[11, 13, 60, 3] == {(50, 51, 52, 3)}
    assert preference_pairs(rows(*EXAMPLES), draws(7)) == preference_pairs(rows(*EXAMPLES), draws(7))


def test_a_long_rejected_answer_loses_its_end() -> None:
    data = rows(example([5, 6, 7, 8], [40]), example([5], [41, 42, 43, 44]), example([6, 6], [45]), length=6)
    pairs = {pair.examples[0].ids: pair for seed in range(9) for pair in preference_pairs(data, draws(seed))}
    assert all(len(one.ids) <= 6 for pair in pairs.values() for one in pair.examples)


def test_data_that_make_no_pairs() -> None:
    text = Example("window", "law", (1, 2, 3), (1, 2, 3))
    with pytest.raises(NotApplicable, match="plain text"):
        preference_pairs(rows(text), draws())
    same = [example([1, 2], [9]), example([1, 3], [9])]
    with pytest.raises(ValueError, match="one answer only, so there is none to reject: mathematics/sums"):
        preference_pairs(rows(*same), draws())
    with pytest.warns(UserWarning, match="one answer only: mathematics/yes"):
        pairs = preference_pairs(rows(*EXAMPLES, example([1, 2], [9], "yes")), draws())
    assert len(pairs) == 6


def by_hand(model: nn.Module, one: Example) -> Tensor:
    """Log-probability of the answer of an example that stands alone, token by token."""
    logits = model(input_ids=torch.tensor([one.ids])).logits[0].log_softmax(-1)
    places = range(prompt_length(one), len(one.ids))
    return torch.stack([logits[place - 1, one.ids[place]] for place in places]).sum()


def test_loss_and_gradient_by_hand_in_float64(lm: CausalLM) -> None:
    model: Any = lm.model.double()
    before = copy.deepcopy(model)
    pairs = preference_pairs(rows(*EXAMPLES), draws())
    reference = torch.stack(reference_log_probs(model, pairs, 4, CPU))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn(parameter.shape, generator=draws(), dtype=torch.float64))

    loss = dpo_loss(answer_log_probs(model, collate_pairs(pairs, CPU)), reference, BETA)
    found = torch.autograd.grad(loss, list(model.parameters()))

    # As trl writes it: the ratio of the policy less that of the reference.
    losses = []
    for pair in pairs:
        chosen, rejected = pair.examples
        ratio = by_hand(model, chosen) - by_hand(model, rejected)
        with torch.no_grad():
            reference_ratio = by_hand(before, chosen) - by_hand(before, rejected)
        losses.append(torch.log1p(torch.exp(-BETA * (ratio - reference_ratio))))
    expected = torch.stack(losses).mean()
    assert loss.item() == pytest.approx(expected.item(), abs=1e-12) and abs(loss.item() - math.log(2)) > 1e-4
    for ours, theirs in zip(found, torch.autograd.grad(expected, list(model.parameters())), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-12)


def test_before_training_the_loss_is_log_2_and_modes_stay(lm: CausalLM) -> None:
    pairs = preference_pairs(rows(*EXAMPLES), draws())
    lm.model.train()
    reference = reference_log_probs(lm.model, pairs, 2, CPU)
    assert lm.model.training and not reference[0].requires_grad
    loss = dpo_loss(answer_log_probs(lm.model, collate_pairs(pairs, CPU)), torch.stack(reference), BETA)
    assert loss.item() == pytest.approx(math.log(2), abs=1e-5)


def test_the_loss_of_known_numbers() -> None:
    policy = torch.tensor([[-1.0, -2.0], [-3.0, -1.0]])
    reference = torch.tensor([[-1.5, -1.5], [-2.0, -2.0]])
    margins = [0.1 * ((-1.0 + 1.5) - (-2.0 + 1.5)), 0.1 * ((-3.0 + 2.0) - (-1.0 + 2.0))]
    expected = sum(math.log(1 + math.exp(-margin)) for margin in margins) / 2
    assert dpo_loss(policy, reference, 0.1).item() == pytest.approx(expected, abs=1e-7)


def test_rows_of_pairs_are_chosen_then_rejected() -> None:
    pair = preference_pairs(rows(*EXAMPLES), draws())[0]
    batch = collate_pairs([pair, Row("mathematics", EXAMPLES[:1] + EXAMPLES[1:2])], CPU)  # type: ignore[arg-type]
    assert batch["sequence_ids"].max() == 1 and batch["input_ids"].shape == (2, 10)
