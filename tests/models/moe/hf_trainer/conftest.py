"""What several processes gave that trained together: one run of `processes.py` for the whole session."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch

from ....gloo import run_program


class Found(NamedTuple):
    """`ends`: how each case ended; `of(case)` what its first process gave."""

    folder: Path
    ends: dict[str, str]
    errors: str

    def of(self, case: str) -> Any:
        assert self.ends[case] == "ended", f"{case} {self.ends[case]}: {self.errors[-4000:]}"
        return torch.load(self.folder / f"{case}.pt", weights_only=False)


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Found]:
    folder = tmp_path_factory.mktemp("processes")
    errors = run_program("tests.models.moe.hf_trainer.processes", folder, 280)
    ends = json.loads((folder / "ends.json").read_text())
    return lambda: Found(folder, ends, errors)
