"""Compressed stock folders in lm-eval by their path, on a task of our own, in a process without our package."""

import json
from pathlib import Path

import pytest

from .compressed_folders import dropped, write
from .elsewhere import run_elsewhere
from .own_task import QUESTIONS, log_likelihoods, write_task

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


def test_lm_eval_reads_the_folder_as_we_do(tmp_path: Path) -> None:
    model = dropped(0.5)
    folder = write(model, tmp_path / "model")
    tasks = write_task(tmp_path / "tasks")
    found = json.loads(run_elsewhere(PROGRAM, folder, tasks, folder=tmp_path).splitlines()[-1])
    right = 0
    for one, ours, theirs in zip(QUESTIONS, log_likelihoods(model), found["samples"], strict=True):
        assert theirs == pytest.approx(ours, abs=1e-3)
        right += ours.index(max(ours)) == one["answer"]
    assert found["acc"] == pytest.approx(right / len(QUESTIONS)) and right > 0
