"""The donor's perplexity of each row against a slow one, and what of each domain stays."""

import dataclasses
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.suites.contracts.context import Context, Setup
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.training.data import TextRows
from sparsebench.suites.llm.training.packing import IGNORED, Example, Row, pack
from sparsebench.suites.llm.training.perplexity_filter import below_quantile, most_likely, row_nats

CPU = torch.device("cpu")
CONTEXT = Context(suite="llm", task="t", seed=0)


def windows(group: str, count: int, seed: int) -> list[Row]:
    draws = torch.Generator().manual_seed(seed)
    found = []
    for number in range(count):
        ids = tuple(torch.randint(257, (8,), generator=draws).tolist())
        found.append(Row(group, (Example(f"{group} {number}", group, ids, ids),)))
    return found


def slow(model: Any, row: Row) -> float:
    """Mean over the labelled tokens of all examples of a row, each read by itself in float64."""
    nats = []
    for example in row.examples:
        logits = model(input_ids=torch.tensor([example.ids])).logits[0].double().log_softmax(-1)
        for place, label in enumerate(example.labels):
            if label != IGNORED:
                nats.append(-logits[place - 1, label].item())
    return sum(nats) / len(nats)


@pytest.mark.parametrize("packed", [False, True])
def test_the_perplexity_of_a_row_is_that_of_its_texts_alone(lm: CausalLM, packed: bool) -> None:
    rows = windows("law", 5, 0)
    if packed:
        rows = pack([row.examples[0] for row in rows], 20)
    data = TextRows(rows, [], 20 if packed else 8, packed, CPU)
    expected = [slow(lm.model, row) for row in rows]
    assert row_nats(lm.model, data, 2) == pytest.approx(expected, abs=1e-5)
    assert max(expected) - min(expected) > 1e-2


def test_the_most_likely_of_each_domain_stay_in_their_order(lm: CausalLM) -> None:
    data = TextRows([*windows("law", 6, 0), *windows("code", 4, 1)], windows("law", 2, 2), 8, False, CPU)
    kept = most_likely(data, Setup(model=lm.model, data=data, context=CONTEXT), 0.5, 3)
    nats = {id(row): slow(lm.model, row) for row in data.train}
    for group, count in (("law", 3), ("code", 2)):
        part = data.only([group]).train
        best = sorted(part, key=lambda row: nats[id(row)])[:count]
        assert kept.only([group]).train == [row for row in part if row in best]
    assert kept.held_out == data.held_out


def test_a_fraction_is_rounded_and_one_row_stays() -> None:
    rows = windows("law", 5, 0)
    assert below_quantile(rows, [5, 1, 4, 2, 3], 0.6) == [rows[1], rows[3], rows[4]]
    assert below_quantile(rows, [1, 1, 1, 1, 1], 0.4) == rows[:2]
    assert below_quantile(rows, [2, 1, 2, 2, 2], 0.01) == [rows[1]]


def test_a_donor_of_another_vocabulary_or_without_finite_perplexity_is_refused(lm: CausalLM) -> None:
    data = TextRows(windows("law", 3, 0), [], 8, False, CPU)
    other = TextRows(windows("law", 3, 1), [], 8, False, CPU)
    with pytest.raises(ValueError, match="other tokens than the model"):
        most_likely(data, Setup(model=lm.model, data=other, context=CONTEXT), 0.5, 3)
    # Behind the attention: of a NaN in each query, torch's kernel for short rows on a CPU makes 0, as of a masked row.
    *_, last = (module for module in lm.model.modules() if isinstance(module, nn.Linear))
    nn.init.constant_(last.weight, float("nan"))
    with pytest.raises(FloatingPointError, match="perplexity of 'law' is NaN"):
        most_likely(data, dataclasses.replace(Setup(model=lm.model, data=data, context=CONTEXT)), 0.5, 3)
