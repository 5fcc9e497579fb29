"""DDP with idle experts and FSDP2 give the outputs and gradients of one process: `two_processes.py`, by gloo."""

import os
import subprocess
import sys
from pathlib import Path


def test_outputs_and_gradients_are_those_of_one_process(tmp_path: Path) -> None:
    script = Path(__file__).with_name("two_processes.py")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    started = []
    for rank in range(2):
        command = [sys.executable, str(script), str(rank), str(tmp_path / "store")]
        started.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate(timeout=300)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], "\n".join(errors)[-4000:]
