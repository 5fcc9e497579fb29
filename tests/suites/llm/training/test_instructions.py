"""Instruction tuning on made-up questions: scores against one answer at a time, methods that train."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.data.text.instructions import GROUPS, exchanges, sources_of
from sparsebench.reports.routers.health import from_details
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.tasks.instruction_duplicates import InstructionDuplicates
from sparsebench.suites.llm.tasks.instruction_tuning import InstructionTuning
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.training.instructions import EXACT, MAIN
from sparsebench.suites.llm.training.packing import IGNORED, Example
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.shared.tune import Tune

TUNE = Tune(train="all", learning_rate=2e-2)


def surroundings(**changes: Any) -> Context:
    budget = Budget(**{"steps": 40, "batch_size": 4, "test_examples": 12, "calibration_examples": 4, **changes})
    return Context(suite="llm", task="synthetic_instructions", seed=0, budget=budget)


@torch.no_grad()
def slow(lm: CausalLM, example: Example) -> tuple[float, list[int]]:
    """Nats of an answer by itself, and what greedy decoding writes in its place."""
    prompt = [token for token, label in zip(example.ids, example.labels, strict=True) if label == IGNORED]
    logits = lm.model(input_ids=torch.tensor([example.ids])).logits[0, :-1]
    nats = nn.functional.cross_entropy(logits, torch.tensor(example.labels[1:]), reduction="sum")
    written: list[int] = []
    for _ in range(example.learnt):
        logits = lm.model(input_ids=torch.tensor([[*prompt, *written]])).logits
        written.append(int(logits[0, -1].argmax()))
    return nats.item(), written


def test_scores_are_those_of_each_answer_alone() -> None:
    """Of a model that has learnt some answers."""
    task = SyntheticInstructions()
    kept: list[CausalLM] = []

    class Watched(SyntheticInstructions):
        def evaluate(self, subject: CausalLM, context: Context) -> Any:
            kept.append(subject)
            return super().evaluate(subject, context)

    outcome = Watched().run([FullTuning(learning_rate=2e-2)], tiny.load, surroundings(steps=150))
    (lm,) = kept
    examples = task.examples("test", lm.tokenizer, 12)
    nats, exact = [], []
    for example in examples:
        loss, written = slow(lm, example)
        nats.append(loss)
        exact.append(int(written == [label for label in example.labels if label != IGNORED]))
    assert outcome.examples["group"] == ["mathematics"] * 12 + ["backwards"] * 12
    assert outcome.examples["nats"] == pytest.approx(nats, abs=1e-4)
    assert outcome.examples["tokens"] == [example.learnt for example in examples]
    assert outcome.examples[EXACT] == exact
    assert 0 < sum(exact) < len(exact)
    mean = sum(nats[:12]) / sum(outcome.examples["tokens"][:12])
    assert outcome.metrics[f"{MAIN} mathematics"].value == pytest.approx(mean, abs=1e-5)
    assert outcome.metrics[f"{EXACT} mathematics"].value == sum(exact[:12]) / 12
    assert outcome.metrics["worst group"].value == max(outcome.metrics[f"{MAIN} {name}"].value for name in task.groups)
    none_cut = {"mathematics": 0, "backwards": 0}
    assert outcome.details["conversations cut"] == {"test": none_cut, "train": none_cut}


CHAINS = {
    "dense": [FullTuning(learning_rate=2e-2)],
    "mixture": [RandomSplit(num_experts=4, top_k=2, train="none"), TUNE],
    "attention experts": [MoEAttention(num_experts=2, top_k=1, train="none"), TUNE],
}


@pytest.mark.parametrize("name", CHAINS)
def test_methods_train(name: str) -> None:
    chain: list[Any] = CHAINS[name]
    before = SyntheticInstructions().run(chain[:-1] or [Dense()], tiny.load, surroundings())
    outcome = SyntheticInstructions().run(chain, tiny.load, surroundings())
    for metric in (MAIN, f"val {MAIN}", "worst group"):
        assert outcome.metrics[metric].value < before.metrics[metric].value - 1, metric
    assert outcome.training is not None and outcome.training.steps == 40
    assert outcome.details["product_rate"] > 0
    if name == "dense":
        assert "router_health" not in outcome.details
    else:
        health = from_details(outcome.details["router_health"])
        assert tuple(health.domains) == SyntheticInstructions.groups and len(health.layers) == 2
        assert outcome.curves["2. router cv2"][0][0] == 1


def test_a_long_conversation_loses_its_beginning_and_the_record_says_so() -> None:
    class Narrow(SyntheticInstructions):
        window = 46

    outcome = Narrow().run([Dense()], tiny.load, surroundings())
    cut = outcome.details["conversations cut"]
    assert cut["test"]["backwards"] == 12 and cut["train"]["backwards"] == 96


def test_an_empty_group_is_named() -> None:
    class Empty(SyntheticInstructions):
        groups = ("mathematics", "nothing")

        def conversations(self, group: str, part: str) -> Any:
            return [] if group == "nothing" else super().conversations(group, part)

    with pytest.raises(ValueError, match="group 'nothing' has no conversation in its part 'train'"):
        Empty().setup(tiny.load, surroundings())


def test_the_real_task_names_all_of_its_sources() -> None:
    sources = {source for group in GROUPS for source in sources_of(group)}
    assert set(InstructionTuning.sources) >= sources and InstructionTuning.groups == GROUPS
    assert InstructionDuplicates.sources == InstructionTuning.sources


@pytest.mark.data
@pytest.mark.parametrize("part", ["train", "val", "test"])
def test_the_near_duplicates_are_two_halves_of_one_group(part: str) -> None:
    task = InstructionDuplicates()
    first, second, other = (task.conversations(group, part) for group in task.groups)
    assert {one.group for one in first} == {"mathematics, first half"}
    assert {one.group for one in second} == {"mathematics, second half"}
    assert 0 <= len(first) - len(second) <= 1
    asked = {one.messages for one in first}
    assert not asked & {one.messages for one in second}
    together = asked | {one.messages for one in second}
    assert together == {one.messages for one in exchanges("mathematics", part)}
    assert other == exchanges("classification", part)


@pytest.mark.parametrize("name", ["dense", "mixture"])
def test_costs_are_those_of_the_cell_s_dtype_whether_a_row_trained_or_not(name: str) -> None:
    """Training is in float32, and so are the scores of what trained."""
    context = replace(surroundings(steps=1), dtype=torch.bfloat16)
    chain = CHAINS[name]
    untrained = [Dense()] if name == "dense" else chain[:1]
    costs = []
    for row in (untrained, chain):
        outcome = SyntheticInstructions().run(row, tiny.load, context)
        assert outcome.costs is not None
        costs.append((outcome.costs.bytes, outcome.costs.params_total))
    assert costs[0] == costs[1]
