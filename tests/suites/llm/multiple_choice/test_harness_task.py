from typing import Any

import pytest
import torch
from datasets import Dataset

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.bits_per_byte.task import BitsPerByteTask
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.multiple_choice.harness_task import HarnessTask, run_harness
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import find

QUESTIONS = [
    {
        "question": f"What comes after the number {number}?",
        "choices": {"text": ["a dog", f"{number + 1}", "é – ü", "none"], "label": ["A", "B", "C", "D"]},
        "answerKey": "B",
    }
    for number in range(6)
]


class Questions(HarnessTask):
    """ARC-Easy's task file on questions made here."""

    version = "1"
    harness_folder = "arc"
    harness_name = "arc_easy"
    calibration_domains = ("made here",)

    def rows(self, limit: int | None) -> Dataset:
        return Dataset.from_list(QUESTIONS[:limit])

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        return ("abc " * 500,)


@torch.inference_mode()
def log_likelihood(lm: CausalLM, context: str, continuation: str) -> float:
    """One pair by itself, no packing."""
    before, whole = (lm.tokenizer(text)["input_ids"] for text in (context, context + continuation))
    logits = lm.model(input_ids=torch.tensor([whole])).logits[0].log_softmax(-1)
    return sum(logits[place - 1, whole[place]].item() for place in range(len(before), len(whole)))


def check_against_direct(task: HarnessTask, lm: CausalLM, limit: int) -> None:
    samples, results = run_harness(task, lm, limit)
    assert len(samples) == limit
    for sample in samples:
        direct = [log_likelihood(lm, *pair) for pair in sample["arguments"]]
        assert [answer[0] for answer in sample["filtered_resps"]] == pytest.approx(direct, abs=2e-3)
        lengths = [len(continuation.strip()) for _, continuation in sample["arguments"]]
        best = max(range(len(direct)), key=direct.__getitem__)
        best_norm = max(range(len(direct)), key=lambda choice: direct[choice] / lengths[choice])
        assert sample["gold"] == sample["target"]
        assert sample["acc"] == float(best == sample["target"])
        assert sample["acc_norm"] == float(best_norm == sample["target"])
    assert results["acc,none"] == pytest.approx(sum(sample["acc"] for sample in samples) / limit)


def test_harness_agrees_with_a_direct_computation(lm: CausalLM) -> None:
    check_against_direct(Questions(), lm, 5)


@pytest.mark.parametrize("method", [Dense(), RandomSplit(), SharedSplit()], ids=str)
def test_run_gives_accuracy_error_chance_and_outcomes(
    method: Any, context: Context, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = Questions().run([method], tiny.load, context)
    metric = outcome.metrics["acc_norm"]
    assert outcome.main_metric == "acc_norm"
    assert (metric.n, metric.chance, metric.unit) == (2, 0.25, "share")
    assert metric.value == sum(outcome.examples["acc_norm"]) / 2
    assert metric.stderr is not None
    assert outcome.metrics["gold_nll"].value == pytest.approx(sum(outcome.examples["gold_nll"]) / 2)
    assert len(outcome.details["option_scores"]["scores"]) == 2
    assert ("router_health" in outcome.details) == (not isinstance(method, Dense))
    assert capfd.readouterr().err == ""  # no log lines, no progress bars


def test_one_document_has_no_standard_error(lm: CausalLM, with_budget: Any) -> None:
    assert Questions().evaluate(lm, with_budget(test_examples=1)).metrics["acc"].stderr is None


class WithoutLabels(Questions):
    """Rows whose right option stands in another column than BoolQ's task file reads."""

    harness_folder = "super_glue"
    harness_name = "boolq"
    harness_metrics = ("acc",)

    def rows(self, limit: int | None) -> Dataset:
        return Dataset.from_list([{"question": "is it", "passage": "It is.", "answer": True}])


def test_a_right_option_that_is_none_of_the_options_is_refused(lm: CausalLM, context: Context) -> None:
    """The harness counts every answer to such a question as wrong, and goes on."""
    with pytest.raises(ValueError, match="boolq: the right option is 'label', which is none of"):
        WithoutLabels().evaluate(lm, context)


@pytest.mark.data
@pytest.mark.parametrize("name", ["hellaswag", "boolq", "winogrande", "sciq", "lambada"])
def test_packaged_set_runs(name: str, lm: CausalLM, context: Context) -> None:
    task = load_task(find("task", name, "llm"))
    assert isinstance(task, HarnessTask)
    scored = task.evaluate(lm, context)
    assert all(metric.n == 2 for metric in scored.metrics.values())
    assert scored.main in scored.metrics


@pytest.mark.data
def test_pretrained_model_agrees_with_a_direct_computation_on_hellaswag() -> None:
    from sparsebench.suites.llm.backbones import smollm2_135m_instruct

    task = load_task(find("task", "hellaswag", "llm"))
    assert isinstance(task, HarnessTask)
    check_against_direct(task, smollm2_135m_instruct.load(torch.Generator()), 5)


@pytest.mark.data
def test_pretrained_bits_per_byte_are_in_the_known_range(context: Context) -> None:
    from sparsebench.suites.llm.backbones import smollm2_135m_instruct

    task = load_task(find("task", "bpb_encyclopedic", "llm"))
    assert isinstance(task, BitsPerByteTask)
    scored = task.evaluate(smollm2_135m_instruct.load(torch.Generator()), context)
    assert 0.85 < scored.metrics["bits_per_byte"].value < 1.3  # 1.096 over eight other windows


@pytest.mark.data
@pytest.mark.parametrize("domain", ["code", "law", "mathematics", "science", "speech", "drama"])
def test_text_domain_runs_on_the_tiny_model(domain: str, lm: CausalLM, context: Context) -> None:
    task = load_task(find("task", f"bpb_{domain}", "llm"))
    assert isinstance(task, BitsPerByteTask) and task.domain == domain
    assert task.evaluate(lm, context).metrics["bits_per_byte"].value == pytest.approx(8, rel=0.1)
