"""What a task gets from the cell: seeds that no method is an axis of, the context, the device."""

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparsebench.reports.records.record import CellInfo
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.runner.execution.scoring import global_seed, score

from .. import cells

INFO = replace(cells.INFO, task="toy", seed=3, budget={"epochs": 2, "batch_size": 4}, dtype="bfloat16")


class Recorder:
    """A task that keeps what it is given, and draws from the global generators."""

    def run(self, chain: Any, load_backbone: Any, context: Any) -> Any:
        self.chain = chain
        self.load_backbone = load_backbone
        self.context = context
        return random.random(), float(np.random.rand()), float(torch.rand(()))


LOADERS: Any = {"tiny": "a loader", "y": "another", "teacher": "that of the teacher"}


def drawn(info: CellInfo) -> Any:
    return score(info, [Dense()], Recorder(), LOADERS, "cpu")  # type: ignore[arg-type]


def test_the_context_is_that_of_the_cell() -> None:
    task = Recorder()
    chain = [Dense(), Dense()]
    score(INFO, chain, task, LOADERS, "cpu")  # type: ignore[arg-type]
    context = task.context
    assert task.chain is chain and task.load_backbone == "a loader"
    assert (dict(context.further), context.folder) == ({}, None)
    assert (context.suite, context.task, context.seed, context.budget.epochs) == ("llm", "toy", 3, 2)
    assert (context.dtype, context.device) == (torch.bfloat16, torch.device("cpu"))


def test_teachers_and_the_place_for_checkpoints_are_those_of_the_cell() -> None:
    task = Recorder()
    info = replace(INFO, further_backbones=["teacher"])
    score(info, [Dense()], task, LOADERS, "cpu", Path("here"))  # type: ignore[arg-type]
    assert task.context.further == {"teacher": "that of the teacher"}
    assert task.context.folder == Path("here")


def test_global_generators_start_from_task_and_seed_alone() -> None:
    first = drawn(INFO)
    torch.rand(7)
    assert drawn(INFO) == first == drawn(replace(INFO, method="lora", label="x", backbone="y", budget={}))
    assert not set(drawn(replace(INFO, seed=4))) & set(first)
    assert global_seed(replace(INFO, task="other")) != global_seed(INFO)
