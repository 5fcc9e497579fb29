"""`make bench` ends well, with its page, whatever the speed runs say; a cell without a score is told by its status."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SHORT = """
def test_short(benchmark, target):
    benchmark.pedantic(sum, args=((1, 2),), rounds=5)
    target("times as fast as nothing", 1.5, at_least=2.0)
    target("seconds", 1.5, at_most=2.0)
    target("times as fast as light", 0.5, at_least=2.0, excuse="is at its floor")


def test_broken(benchmark):
    assert benchmark.pedantic(sum, args=((1, 2),), rounds=5) == 4
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout whose `sparsebench` only notes how it was called, with one speed file that falls short and fails."""
    speed = tmp_path / "tests" / "speed"
    speed.mkdir(parents=True)
    for name in ("conftest.py", "rounds.py", "targets.py"):
        shutil.copy(ROOT / "tests" / "speed" / name, speed)
    (speed / "test_it.py").write_text(SHORT)
    for name in ("Makefile", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "sparsebench").write_text('#!/bin/sh\necho "$@" >>called\n[ "$1" != run ] || exit "${CELLS:-0}"\n')
    (programs / "sparsebench").chmod(0o755)
    (programs / "python").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    (programs / "python").chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def make(tree: Path, *goal: str, **environment: str) -> int:
    # A worker of a parallel run tells its children so, and there benchmarks are off.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    done = subprocess.run(["make", *goal], cwd=tree, env=inherited | environment, capture_output=True, text=True)
    return done.returncode


def test_a_speed_run_that_falls_short_or_fails_stops_nothing(tree: Path) -> None:
    assert make(tree, "bench") == 0
    assert [line.split()[0] for line in (tree / "called").read_text().splitlines()] == ["prepare", "run", "report"]
    written = json.loads((tree / "results" / "quick" / "speed.json").read_bytes())
    assert [target["met"] for target in written["targets"]] == [False, True, False]
    assert [name.rpartition("::")[2] for name in written["failed"]] == ["test_broken"]
    assert written["seconds"] > 0


def test_a_cell_that_failed_is_told_after_the_report(tree: Path) -> None:
    assert make(tree, "bench", "SPEED=false", CELLS="1") != 0
    assert (tree / "called").read_text().splitlines()[-1].startswith("report")


def test_asked_for_the_targets_fail(tree: Path) -> None:
    assert make(tree, "speed-check") != 0
    written = json.loads((tree / "results" / "quick" / "speed.json").read_bytes())
    assert [name.rpartition("::")[2] for name in written["failed"]] == ["test_short", "test_broken"]
