"""Runs of the command line with a plug-in of toys, in processes of their own."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

from sparsebench.suites.runner.identity.cell import Cell

from .cells import planned_cells

PLUGIN = Path(__file__).parent / "plugin"


class Bench:
    """A folder with a profile, and the command line run against it."""

    def __init__(self, folder: Path, plugin: Path = PLUGIN) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(plugin),
            "SPARSEBENCH_OFFLINE": "1",
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
        }

    def write_profile(self, content: Mapping) -> Path:
        import yaml

        path = self.folder / "toy.yaml"
        path.write_text(yaml.safe_dump(content))
        return path

    def write_toys(self, *methods: str | Mapping, tasks: Sequence[str] = ("toy_sum",), **fields: object) -> Path:
        """Toys on the toy line, with one seed unless it is said otherwise."""
        rows = {"seeds": 1, "backbones": ["toy_line"], "methods": list(methods), "tasks": list(tasks)}
        return self.write_profile({"molecules": {**rows, **fields}})

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sparsebench.suites.runner", *arguments]

    def start(self, *arguments: str) -> subprocess.Popen:
        """Start a command in a process group of its own."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            # A shell's background job ignores Ctrl-C, and so would all that it starts.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )

    def call(self, *arguments: str, timeout: float = 240) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*arguments), env=self.environment, capture_output=True, text=True, timeout=timeout
        )

    def run_arguments(self, workers: int = 2) -> list[str]:
        return ["run", "--profile", str(self.folder / "toy.yaml"), "--out", str(self.out), "--workers", str(workers)]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture(scope="session")
def make_bench() -> Callable[..., Bench]:
    """A folder, and a plug-in unless it is that of `bench`, to a bench."""
    return Bench


@pytest.fixture(scope="session")
def planned() -> list[Cell]:
    """Four cells: two methods with two seeds each."""
    return planned_cells("vtab", "linear_probe", "lora", seeds=2)
