"""A model beside the backbone that it was: by hand, nothing for an untouched one, sums that give the scores back."""

import math
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.reports.statistics.examples import example_scores
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.metrics import Scores
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.multiple_choice.option_likelihoods import with_options
from sparsebench.suites.llm.tasks.conversion import Conversion
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.training.compared import ComparedTask, compare
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.moe.moe_random import RandomSplit


class Compared(ComparedTask, SyntheticDomains):
    """The comparison on letters."""


def surroundings() -> Context:
    budget = Budget(tokens=2048, batch_size=8, test_examples=3, calibration_examples=4)
    return Context(suite="llm", task="synthetic_domains", seed=0, budget=budget)


class Fixed(nn.Module):
    """Gives the same logits (T, V) whatever it reads."""

    def __init__(self, *rows: list[float]) -> None:
        super().__init__()
        self.rows = torch.tensor(rows)

    def forward(self, input_ids: Any, use_cache: bool) -> Any:
        return type("Output", (), {"logits": self.rows[None]})


def test_two_tokens_by_hand() -> None:
    before = Fixed([math.log(3.0), 0.0], [0.0, 1.0])
    now = Fixed([0.0, 0.0], [0.0, 1.0])
    nats, same = compare(before, now, torch.zeros(1, 2, dtype=torch.int64))
    assert nats == [pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5), rel=1e-5)]
    assert same == [2]  # of equal logits the first counts
    assert compare(before, Fixed([0.0, 1.0], [1.0, 0.0]), torch.zeros(1, 2, dtype=torch.int64))[1] == [0]


def test_an_untouched_backbone_is_itself_and_a_mixture_is_not() -> None:
    dense = Compared().run([Dense()], tiny.load, surroundings())
    assert dense.metrics["kl_from_backbone"].value == 0 and dense.metrics["same_token"].value == 1
    plain = SyntheticDomains().run([Dense()], tiny.load, surroundings())
    assert {name: dense.metrics[name] for name in plain.metrics} == plain.metrics
    mixture = Compared().run([RandomSplit(train="none")], tiny.load, surroundings())
    assert mixture.metrics["kl_from_backbone"].value > 0 and 0 < mixture.metrics["same_token"].value < 1
    for name in ("kl_from_backbone", "same_token"):
        metric = mixture.metrics[name]
        assert metric.stderr is not None and example_scores(name, metric.value, mixture.examples) is not None


def test_options_of_all_sets_are_kept() -> None:
    found = Scores("bits_per_byte", {}, {})
    answered = with_options(Scores("acc", {}, {}), [[1.0, 0.0], [0.0, 2.0]], [0, 1])
    assert Conversion().with_answers(found, [answered, answered]).examples["margin"] == [1.0, 2.0, 1.0, 2.0]
    assert SyntheticDomains().with_answers(found, [answered]) is found
