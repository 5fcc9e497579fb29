"""Multiple choice that trains: scores against one option at a time, the loss by hand, every kind of method."""

import dataclasses
import string
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.data.labelled.questions import Question
from sparsebench.reports.routers.health import from_details
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.multiple_choice.choice_task import (
    answers,
    batch_of,
    choice_loss,
    option_scores,
    scores_of,
    tokens_of,
)
from sparsebench.suites.llm.tasks.harness import HarnessSet
from sparsebench.suites.llm.tasks.synthetic.synthetic_choices import SyntheticChoices
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.sparse_adapter import SparseAdapter
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.training.views import BothViews

from ...reasons import reason

QUESTIONS = [
    Question("What is it?\nAnswer:", ("a dog", "é – ü", "none"), 1),
    Question("And then?\nAnswer:", ("x", "y", "zzzz", "w"), 2),
    Question("What is it?\nAnswer:", ("two", "a cat"), 0),
]
CPU = torch.device("cpu")


def surroundings(epochs: int = 12, dtype: torch.dtype = torch.float32) -> Context:
    budget = Budget(epochs=epochs, batch_size=8, calibration_examples=16)
    return Context(suite="llm", task="synthetic_choices", seed=0, budget=budget, dtype=dtype)


@torch.no_grad()
def slow_score(lm: CausalLM, question: Question, option: str) -> float:
    """One option by itself: mean log-probability of its bytes."""
    before, whole = (lm.tokenizer(text)["input_ids"] for text in (question.prompt, f"{question.prompt} {option}"))
    log_probabilities = lm.model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
    places = range(len(before), len(whole))
    return sum(log_probabilities[place - 1, whole[place]].item() for place in places) / len(places)


def batch(lm: CausalLM) -> Any:
    return batch_of([tokens_of(question, lm.tokenizer) for question in QUESTIONS], [10], CPU)


def test_scores_are_those_of_each_option_alone(lm: CausalLM) -> None:
    found = option_scores(lm.model, batch(lm))
    for score, question in zip(found, QUESTIONS, strict=True):
        direct = [slow_score(lm, question, option) for option in question.options]
        assert score.tolist() == pytest.approx(direct, abs=1e-4)
    assert max(score.max().item() - score.min().item() for score in found) > 0.05  # the comparison can fail


def test_loss_by_hand(lm: CausalLM) -> None:
    expected = []
    for question in QUESTIONS:
        scores = torch.tensor([slow_score(lm, question, option) for option in question.options])
        right = scores[question.gold]
        expected.append(scores.exp().sum().log() - right - right)
    assert choice_loss(lm.model, batch(lm)).item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-4)


def test_answers_are_the_best_options(lm: CausalLM) -> None:
    best = []
    for question in QUESTIONS:
        scores = [slow_score(lm, question, option) for option in question.options]
        best.append(int(max(range(len(scores)), key=scores.__getitem__) == question.gold))
    assert answers(scores_of(lm, QUESTIONS, surroundings()), QUESTIONS) == best


def test_the_model_itself_reads_right_answers(lm: CausalLM) -> None:
    text = lm.tokenizer.decode(batch(lm)["input_ids"][0].tolist())
    assert text.startswith("What is it?\nAnswer: é – ü") and "zzzz" in text and "dog" not in text


TRAINED = [
    LoRA(rank=8, targets=("linears",), learning_rate=2e-2),
    Adapter(rank=32, learning_rate=3e-2),
    SparseAdapter(base_rank=32, learning_rate=3e-2),
    SparseAdapter(adapter="lora", base_rank=8, learning_rate=2e-2),
    FullTuning(learning_rate=1e-2),
]


@pytest.mark.parametrize("method", TRAINED, ids=lambda method: type(method).__name__)
def test_methods_that_train_learn_the_rule(method: Any) -> None:
    """The rule needs other attention than that of random weights: adapters after the FFN alone do not find it."""
    outcome = SyntheticChoices().run([method], tiny.load, surroundings())
    losses = [loss for _, loss in outcome.curves["train loss"]]
    assert losses[-1] < 0.9 * losses[0]
    after_the_ffn = isinstance(method, Adapter) or getattr(method, "adapter", "") == "bottleneck"
    assert outcome.metrics["accuracy"].value > 0.5 or after_the_ffn
    assert outcome.metrics["accuracy"].n == 32 and outcome.metrics["val accuracy"].n == 16
    assert outcome.metrics["accuracy"].chance == 0.25 and len(outcome.examples["correct"]) == 32
    assert outcome.costs is not None and outcome.costs.unit == "token"


@pytest.mark.parametrize("method", [Dense(), RandomSplit(num_experts=4, top_k=4, train="none")], ids=str)
def test_methods_that_do_not_train_are_scored_as_they_are(method: Any) -> None:
    outcome = SyntheticChoices().run([method], tiny.load, surroundings())
    assert outcome.curves == {}
    assert outcome.metrics["accuracy"].value < 0.6


def test_only_the_adapters_train() -> None:
    setup = SyntheticChoices().setup(tiny.load, surroundings(epochs=1))
    before = {name: value.clone() for name, value in setup.model.state_dict().items()}
    model = LoRA(rank=2, blocks=1).prepare(setup.model, setup.context)
    LoRA(rank=2, blocks=1).fit(model, setup.data, setup.context)
    changed = {name for name, value in model.state_dict().items() if name in before and (value != before[name]).any()}
    assert changed <= {"lm_head.weight"}  # the head is not tied to the embedding here, so it may train


@pytest.mark.parametrize("method", [LoRA(rank=2), FullTuning()], ids=lambda method: type(method).__name__)
def test_bfloat16_trains_in_float32(method: Any) -> None:
    context = surroundings(epochs=1, dtype=torch.bfloat16)
    setup = SyntheticChoices().setup(tiny.load, context)
    model = method.prepare(setup.model, setup.context)
    assert {p.dtype for p in adapted(model)} == {torch.float32}
    before = [p.detach().clone() for p in adapted(model)]
    method.fit(model, setup.data, setup.context)
    assert any(not torch.equal(a, b) for a, b in zip(before, adapted(model), strict=True))
    outcome = SyntheticChoices().run([method], tiny.load, context)
    assert 0 <= outcome.metrics["accuracy"].value <= 1


def adapted(model: nn.Module) -> list[Tensor]:
    """What trains, but for a head that came with the model."""
    return [p for name, p in model.named_parameters() if p.requires_grad and "lm_head" not in name]


def test_what_is_not_applicable() -> None:
    assert reason(SyntheticChoices, "llm", "tiny_encoder") is not None
    assert reason(SyntheticChoices, "llm", "tiny", LinearProbe()) == "this task has no feature vectors"
    for method in (LoRA(), FullTuning(), LinearProbe()):
        assert reason(HarnessSet, "llm", "tiny", method) == "this task does not train"
    assert reason(SyntheticChoices, "llm", "tiny", LoRA()) is None


def test_the_budget_limits_the_test_part() -> None:
    context = dataclasses.replace(surroundings(), budget=Budget(batch_size=8, test_examples=5))
    outcome = SyntheticChoices().run([Dense()], tiny.load, context)
    assert outcome.metrics["accuracy"].n == outcome.metrics["val accuracy"].n == 5


def by_letters() -> Any:
    """A tokenizer of printable letters, which numbers them otherwise than bytes."""
    from tokenizers import Regex, Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Split
    from transformers import PreTrainedTokenizerFast

    vocabulary = {letter: number for number, letter in enumerate(string.printable)}
    letters = Tokenizer(WordLevel(vocabulary, unk_token="?"))
    letters.pre_tokenizer = Split(Regex("."), "isolated")
    return PreTrainedTokenizerFast(tokenizer_object=letters)


def test_a_further_backbone_reads_the_same_questions_with_its_own_tokenizer() -> None:
    def other(generator: torch.Generator) -> CausalLM:
        return CausalLM(tiny.load(generator).model, by_letters())

    own = SyntheticChoices().setup(tiny.load, dataclasses.replace(surroundings(), further={"other": other}))
    further = own.context.load_backbone("other")
    both = BothViews(own.data, further.data)
    for first, second in both.train:
        assert first.prompt != second.prompt and first.gold == second.gold
        for mine, theirs in zip([first.prompt, *first.options], [second.prompt, *second.options], strict=True):
            assert own.backbone.tokenizer.decode(mine) == "".join(string.printable[number] for number in theirs)
    batch, other_batch = both.collate([both.train[row] for row in range(4)])
    losses = own.context.loss(own.model, batch), further.context.loss(further.model, other_batch)
    assert all(loss.isfinite() for loss in losses) and losses[0] != losses[1]
    assert not torch.equal(own.model.lm_head.weight, further.model.lm_head.weight)  # type: ignore[union-attr]


def test_a_record_of_a_mixture_keeps_the_health_of_its_routers() -> None:
    context = dataclasses.replace(surroundings(epochs=1), budget=Budget(steps=3, batch_size=4, test_examples=4))
    outcome = SyntheticChoices().run([RandomSplit(num_experts=4, train="all")], tiny.load, context)
    health = from_details(outcome.details["router_health"])
    assert health.layers == ("0", "1") and list(health.domains) == ["synthetic_choices"]
    assert outcome.details["product_rate"] > 1e7
    assert [step for step, _ in outcome.curves["router cv2"]] == [1, 2, 3]
    dense = SyntheticChoices().run([FullTuning()], tiny.load, surroundings(epochs=1))
    assert set(dense.details) == {"option_scores", "product_rate"}
    assert set(SyntheticChoices().run([Dense()], tiny.load, surroundings()).details) == {"option_scores"}
