"""Continual pre-training: the filter of its text by a donor."""

from dataclasses import replace
from typing import Any

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods.continual_pretraining import ContinualPretraining
from sparsebench.suites.llm.tasks.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.training.perplexity_filter import most_likely
from sparsebench.suites.methods.moe.moe_random import RandomSplit


def test_it_trains_on_what_is_likely_to_the_donor(monkeypatch: pytest.MonkeyPatch) -> None:
    budget = Budget(steps=5, batch_size=4, test_examples=2)
    context = Context(suite="llm", task="t", seed=0, budget=budget, further={"tiny": tiny.load})
    found = SyntheticDomains().setup(tiny.load, context)
    seen: list[Any] = []
    collate = type(found.data).collate
    monkeypatch.setattr(type(found.data), "collate", lambda data, rows: (seen.extend(rows), collate(data, rows))[1])
    method = ContinualPretraining(keep=0.5, donor="tiny")
    model = method.prepare(RandomSplit(train="none").prepare(found.model, found.context), found.context)
    donor = found.context.load_backbone("tiny")
    kept = most_likely(found.data, donor, 0.5, 4).train
    seen.clear()
    most_likely_rows = {row.examples[0].ids for row in kept}
    method.train_stage(model, replace(found.data, train=kept), found.context)
    trained = {row.examples[0].ids for row in seen}
    assert len(trained) == 5 * 4 and trained <= most_likely_rows
    seen.clear()
    method.fit(model, found.data, found.context)
    assert {row.examples[0].ids for row in seen[-5 * 4 :]} == trained


def test_a_filter_needs_a_fraction_and_a_donor() -> None:
    assert ContinualPretraining().backbones() == ()
    assert ContinualPretraining(keep=0.85, donor="small_llama").backbones() == ("small_llama",)
    with pytest.raises(ValueError, match=r"a filter needs both.*donor: smollm2_135m_instruct"):
        ContinualPretraining(keep=0.85)
    with pytest.raises(ValueError, match="a filter needs both"):
        ContinualPretraining(donor="small_llama")
    with pytest.raises(ValueError, match=r"keep=0.0 must lie in \(0, 1\]"):
        ContinualPretraining(keep=0.0)
