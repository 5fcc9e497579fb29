"""What several processes gave that trained together: one run of `processes.py` for the whole session."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch


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
    """Skips where torch has no gloo."""
    if not torch.distributed.is_available() or not torch.distributed.is_gloo_available():
        pytest.skip("this torch has no gloo, which processes on a CPU talk by")
    folder = tmp_path_factory.mktemp("processes")
    script = Path(__file__).with_name("processes.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], env=environment, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr[-4000:]
    ends = json.loads((folder / "ends.json").read_text())
    return lambda: Found(folder, ends, done.stderr)
