"""Tiny recipes, run whole, killed and going on: one run of `runs.py` for the whole session."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from safetensors.torch import load_file
from torch import Tensor

from ....gloo import run_program


class Runs(NamedTuple):
    """`codes`: how the processes of each run ended."""

    folder: Path
    codes: dict[str, list[int]]
    errors: str

    def weights(self, place: str, stage: str) -> dict[str, Tensor]:
        """What a stage left, or "start"."""
        return load_file(self.folder / place / stage / "model.safetensors")

    def log(self, place: str, stage: str) -> list[dict[str, Any]]:
        """The lines of a stage, from its last checkpoint."""
        state = self.folder / place / stage / "checkpoint-3" / "trainer_state.json"
        return json.loads(state.read_text())["log_history"]


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    folder = tmp_path_factory.mktemp("runs")
    errors = run_program("tests.suites.llm.cluster.runs", folder, 280)
    return Runs(folder, json.loads((folder / "codes.json").read_text()), errors)
