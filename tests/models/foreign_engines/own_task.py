"""A task of lm-eval of our own, in bytes, and what its answers are by hand."""

import json
from pathlib import Path
from typing import Any

import torch

from .compressed_folders import tokens

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


def write_task(folder: Path) -> Path:
    """The folder of the task, for lm-eval's `include_path`."""
    folder.mkdir()
    file = folder / "questions.jsonl"
    file.write_text("\n".join(map(json.dumps, QUESTIONS)) + "\n")
    (folder / "own_choices.yaml").write_text(TASK.format(file=file))
    return folder


def log_likelihoods(model: Any) -> list[list[float]]:
    """Of each choice of each question, in nats."""
    return [[_log_likelihood(model, one["question"], choice) for choice in one["choices"]] for one in QUESTIONS]


def _log_likelihood(model: Any, question: str, choice: str) -> float:
    """Of the bytes of " choice" after the question."""
    ids = tokens(f"{question} {choice}")
    start = tokens(question).shape[1]
    with torch.no_grad():
        log_p = model(ids).logits[0, start - 1 : -1].double().log_softmax(-1)
    return float(log_p.gather(1, ids[0, start:, None]).sum())
