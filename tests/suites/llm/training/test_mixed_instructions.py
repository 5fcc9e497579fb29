"""Groups that are trained on in unlike numbers of rows, and one that is only scored; nothing is cut."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import pytest

from sparsebench.data.text.instructions import sources_of
from sparsebench.reports.statistics.examples import example_scores
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.tasks.instruction_mixing import InstructionMixing
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import (
    Question,
    SyntheticInstructions,
    letter_questions,
)
from sparsebench.suites.llm.training.mixed_instructions import HELD_OUT, MixedInstructions, fitting
from sparsebench.suites.methods.baselines.dense import Dense


class Mixed(MixedInstructions):
    version = "1"
    fractions: ClassVar[Mapping[str, float]] = {"mathematics": 0.75, "backwards": 0.25}
    outside = ("mathematics, again",)
    groups = (*fractions, *outside)
    total = 8
    window = 64
    documents = SyntheticInstructions.documents

    def conversations(self, group: str, part: str) -> Sequence[Question]:
        return [one._replace(group=group) for one in letter_questions(group.removesuffix(", again"))[part]]


def surroundings() -> Context:
    budget = Budget(steps=1, batch_size=4, test_examples=12, calibration_examples=4)
    return Context(suite="llm", task="t", seed=0, budget=budget)


def test_rows_are_as_many_as_the_shares_say_and_whole() -> None:
    setup = Mixed().setup(tiny.load, surroundings())
    of_group = [row.group for row in setup.data.train]
    assert of_group.count("mathematics") == 6 and of_group.count("backwards") == 2 and len(of_group) == 8
    assert setup.data.groups == ("mathematics", "backwards")
    held_out = [example for row in setup.data.held_out for example in row.examples]
    assert {example.group for example in held_out} == set(setup.data.groups)
    assert all(example.cut == 0 for row in setup.data.train for example in row.examples)
    assert HELD_OUT >= 64


def test_scores_inside_and_outside_of_the_mixture() -> None:
    outcome = Mixed().run([Dense()], tiny.load, surroundings())
    by_group = {group: outcome.metrics[f"answer_loss {group}"].value for group in Mixed.groups}
    inside = (by_group["mathematics"] + by_group["backwards"]) / 2
    assert outcome.metrics["answer_loss inside"].value == pytest.approx(inside)
    assert outcome.metrics["answer_loss outside"].value == by_group["mathematics, again"] == by_group["mathematics"]
    for name in ("answer_loss", "answer_loss inside", "answer_loss outside"):
        assert example_scores(name, outcome.metrics[name].value, outcome.examples) is not None
    assert outcome.details["conversations cut"]["test"] == dict.fromkeys(Mixed.groups, 0)
    left_out = outcome.details["conversations left out"]["test"]
    assert left_out["backwards"] > 0 == left_out["mathematics"]


def test_what_is_longer_than_a_row_is_left_out_and_counted() -> None:
    tokenizer = Mixed().setup(tiny.load, surroundings()).backbone.tokenizer
    questions = letter_questions("backwards")["train"]
    whole, longer = fitting(questions, tokenizer, 99, most=9)
    assert len(whole) == 9 and longer == 0
    limit = sorted({len(example.ids) for example in whole})[0]
    short, longer = fitting(questions, tokenizer, limit, most=3)
    assert [len(example.ids) for example in short] == [limit] * 3 and longer > 0
    few, _ = fitting(questions, tokenizer, 99, tokens=len(whole[0].ids) + 1)
    assert len(few) == 2

    class Narrow(Mixed):
        window = 8

    with pytest.raises(ValueError, match="group 'mathematics' makes 0 rows of 8 tokens, not 6"):
        Narrow().setup(tiny.load, surroundings())
    with pytest.raises(ValueError, match="no conversation of 8 tokens or fewer in its part 'test'"):
        Narrow().examples("test", tokenizer, 4)


def test_the_real_task_names_all_of_its_sources() -> None:
    assert sum(InstructionMixing.fractions.values()) == pytest.approx(1, abs=1e-6)
    assert not set(InstructionMixing.fractions) & set(InstructionMixing.outside)
    sources = {source for group in InstructionMixing.groups for source in sources_of(group)}
    assert set(InstructionMixing.sources) >= sources


@pytest.mark.data
def test_the_real_order_has_no_set_first() -> None:
    """Of the first two hundred conversations as many are of each large set as of all, within chance."""
    members = InstructionMixing().conversations("mathematics", "test")
    first = [one.name for one in members[:200]]
    names = [one.name for one in members]
    for name in set(names):
        expected = 200 * names.count(name) / len(names)
        assert abs(first.count(name) - expected) <= 5 * expected**0.5 + 1, name
