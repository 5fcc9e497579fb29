"""Compressed stock folders in lm-eval by their path, on a task of our own, in a process without our package."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from .compressed_folders import dropped, tokens, write
from .elsewhere import run_elsewhere

QUESTIONS = [
    {"question": "def half(value):", "choices": ["return value / 2", "qqqq zz"], "answer": 0},
    {"question": "import", "choices": ["0x0x0x", "os", "while True"], "answer": 1},
    {"question": "for line in", "choices": ["lines:", "((((("], "answer": 0},
]
TASK = """
task: own_choices
dataset_path: json
dataset_kwargs: {{data_files: {{test: "{file}"}}}}
test_split: test
output_type: multiple_choice
doc_to_text: "{{{{question}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: answer
metric_list: [{{metric: acc}}]
"""
PROGRAM = """
import json
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

folder, tasks = sys.argv[1:]
found = simple_evaluate(
    model="hf",
    model_args=f"pretrained={folder},dtype=float32",
    tasks=["own_choices"],
    task_manager=TaskManager(include_path=tasks, include_defaults=False),
    device="cpu",
    batch_size=2,
    bootstrap_iters=0,
    log_samples=True,
)
samples = [[answer[0][0] for answer in sample["resps"]] for sample in found["samples"]["own_choices"]]
print(json.dumps({"acc": found["results"]["own_choices"]["acc,none"], "samples": samples}))
"""


def log_likelihood(model: Any, question: str, choice: str) -> float:
    """Of the bytes of " choice" after the question."""
    ids = tokens(f"{question} {choice}")
    start = tokens(question).shape[1]
    with torch.no_grad():
        log_p = model(ids).logits[0, start - 1 : -1].double().log_softmax(-1)
    return float(log_p.gather(1, ids[0, start:, None]).sum())


def test_lm_eval_reads_the_folder_as_we_do(tmp_path: Path) -> None:
    model = dropped(0.5)
    folder = write(model, tmp_path / "model")
    tasks = tmp_path / "tasks"
    tasks.mkdir()
    file = tasks / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)) + "\n")
    (tasks / "own_choices.yaml").write_text(TASK.format(file=file))
    found = json.loads(run_elsewhere(PROGRAM, folder, tasks, folder=tmp_path).splitlines()[-1])
    right = 0
    for one, theirs in zip(QUESTIONS, found["samples"], strict=True):
        ours = [log_likelihood(model, one["question"], choice) for choice in one["choices"]]
        assert theirs == pytest.approx(ours, abs=1e-3)
        right += ours.index(max(ours)) == one["answer"]
    assert found["acc"] == pytest.approx(right / len(QUESTIONS)) and right > 0
