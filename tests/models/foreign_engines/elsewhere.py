"""Programs that run in a process of their own, to which sparsebench is not there, and no network."""

import os
import subprocess
import sys
from pathlib import Path

WITHOUT_US = """
import sys


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "sparsebench":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
"""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
CHECK = """
assert not [name for name in sys.modules if name.partition(".")[0] == "sparsebench"]
"""


def run_elsewhere(
    program: str, *arguments: Path | str, folder: Path, timeout: int = 280, python: str = sys.executable
) -> str:
    """What the program prints. It runs in `folder`, away from the tree, whose root would be found first."""
    environment = os.environ | OFFLINE | {"HF_HOME": str(folder / "hub")}
    done = subprocess.run(
        [python, "-c", WITHOUT_US + program + CHECK, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        cwd=folder,
        env=environment,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
