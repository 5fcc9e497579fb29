"""Trainings of a mixture that are killed and go on, or change their number of processes; run by `test_resume.py`.

    python -m tests.suites.llm.methods.resumed FOLDER

Writes FOLDER/found.json. Processes are forked, so that torch is imported once.
"""

import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.methods._language_training import LanguageTraining
from sparsebench.suites.llm.methods.instruction_tuning import InstructionTuning
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.training.data import TextRows
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.training.callbacks import Callback
from sparsebench.suites.training.fingerprint import weights_digest
from sparsebench.suites.training.settings import TrainSettings

from ...training.forked import Kill, forget, ran


@dataclass(frozen=True, kw_only=True)
class Killable(LanguageTraining):
    """Saves every second step and ends like a power cut after `kill` steps."""

    kill: int | None = None

    def settings(self, context: Context) -> TrainSettings:
        return replace(super().settings(context), save_every=2, save_seconds=None)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        return (*super().callbacks(context), Kill(self.kill))


@dataclass(frozen=True, kw_only=True)
class Killed(Killable, InstructionTuning):
    """Instruction tuning that can be killed."""


@dataclass(frozen=True)
class Watched(TextRows):
    """Notes the examples of each batch that is made of the data."""

    seen: tuple[list[list[str]], ...] = ([],)

    def collate(self, rows: Sequence[Any]) -> dict[str, Any]:
        self.seen[0].append([row.examples[0].name for row in rows])
        return super().collate(rows)


def surroundings(folder: Path, **changes: Any) -> Context:
    budget = Budget(**{"steps": 8, "batch_size": 2, **changes.pop("budget", {})})
    return Context(suite="llm", task="t", seed=0, folder=folder, budget=budget, **changes)


def mixture(folder: Path, dtype: torch.dtype, kill: int | None) -> dict[str, Any]:
    """Noise of Shazeer et al., the balance loss of v1, packed rows, two batches a step."""
    setup = SyntheticInstructions().setup(tiny.load, surroundings(folder, dtype=dtype))
    model = LlamaMoEV1(preset="2of8", train="none").prepare(setup.model, setup.context)
    forget(kill)
    method = Killed(kill=kill, accumulation=2, learning_rate=0.01)
    result = method.train_stage(method.prepare(model, setup.context), setup.data, setup.context)
    return {"weights": weights_digest(model), "curves": result.curves, "steps": result.steps}


def shared(folder: Path, size: int, accumulation: int, kill: int | None) -> dict[str, Any]:
    """Eight steps of four rows each, whoever shares them; v2's balance loss, which is that of all, and no noise."""
    setup = SyntheticInstructions().setup(tiny.load, surroundings(folder, budget={"batch_size": size}))
    model = LlamaMoEV2(preset="8top2", train="none").prepare(setup.model, setup.context)
    seen: list[list[str]] = []
    data = Watched(**{**vars(setup.data), "seen": (seen,)})
    method = Killed(kill=kill, accumulation=accumulation, learning_rate=0.01)
    result = method.train_stage(method.prepare(model, setup.context), data, setup.context)
    weights = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
    return {"losses": result.curves["train loss"], "weights": weights.tolist(), "seen": seen, "tokens": result.tokens}


def main(folder: Path) -> None:
    importlib.import_module("torch._dynamo")  # the optimizers import it at their first step: once, before the forks
    torch.set_num_threads(1)
    SyntheticInstructions().setup(tiny.load, surroundings(folder))  # so are the model and its tokenizer
    found: dict[str, Any] = {}

    def one(name: str, work: Any) -> None:
        (found[f"{name} code"],), gave = ran(work, folder, 1)
        if gave:
            (found[name],) = gave

    def pair(name: str, work: Any) -> None:
        found[f"{name} code"], found[name] = ran(work, folder, 2)

    for dtype in (torch.float32, torch.bfloat16):
        place = folder / str(dtype)
        one(f"{dtype} whole", lambda place=place, dtype=dtype: mixture(place / "whole", dtype, -1))
        one(f"{dtype} killed", lambda place=place, dtype=dtype: mixture(place / "parts", dtype, 5))
        one(f"{dtype} resumed", lambda place=place, dtype=dtype: mixture(place / "parts", dtype, None))
    pair("two", lambda: shared(folder / "two", 2, 1, -1))
    parts = folder / "two one two"
    pair("first", lambda: shared(parts, 2, 1, 3))
    one("second", lambda: shared(parts, 4, 1, 5))
    pair("third", lambda: shared(parts, 2, 1, None))
    (folder / "found.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
