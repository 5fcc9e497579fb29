"""Tiny recipes, run whole, killed and going on: one run of `runs.py` for the whole session."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor


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
    """Skips where torch has no gloo."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo, which processes on a CPU talk by")
    folder = tmp_path_factory.mktemp("runs")
    script = Path(__file__).with_name("runs.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return Runs(folder, json.loads((folder / "codes.json").read_text()), done.stderr)
