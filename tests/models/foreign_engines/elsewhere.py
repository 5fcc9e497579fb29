"""Programs that run in a process of their own, to which sparsebench is not there, and no network."""

import functools
import json
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
VERSIONS = """
import importlib.metadata, json, sys

found = []
for names in sys.argv[1:]:
    for name in names.split("|"):
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
            break
        except importlib.metadata.PackageNotFoundError:
            continue
    else:
        sys.exit(f"no {names}")
print(json.dumps(found))
"""
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
CHECK = """
assert not [name for name in sys.modules if name.partition(".")[0] == "sparsebench"]
"""


@functools.cache
def interpreter_with(*packages: str) -> tuple[str, list[str]] | None:
    """The path of the first interpreter that has these packages, "|" between two of which one is enough, and their
    versions; None if none has."""
    others = os.environ.get("ENGINES_PYTHON", "").split(os.pathsep)
    for python in (sys.executable, *filter(None, others)):
        done = subprocess.run([python, "-c", VERSIONS, *packages], capture_output=True, text=True, timeout=60)
        if done.returncode == 0:
            return python, json.loads(done.stdout)
    return None


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
