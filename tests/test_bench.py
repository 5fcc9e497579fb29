"""`make bench` ends well, with its page, whatever the speed runs say; a cell without a score is told by its status."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout whose `sparsebench` only notes how it was called, and fails where it is told to."""
    for name in ("Makefile", "pyproject.toml", "setup.py"):
        shutil.copy(ROOT / name, tmp_path)
    programs = tmp_path / ".venv" / "bin"
    programs.mkdir(parents=True)
    (programs / "sparsebench").write_text('#!/bin/sh\necho "$@" >>called\n[ "$1" != "$FAILS" ]\n')
    (programs / "sparsebench").chmod(0o755)
    (tmp_path / ".venv" / ".ready").touch()
    return tmp_path


def make(tree: Path, goal: str, fails: str = "") -> tuple[int, list[str]]:
    """The status of make, and what was called."""
    done = subprocess.run(["make", goal], cwd=tree, env={**os.environ, "FAILS": fails}, capture_output=True, text=True)
    return done.returncode, (tree / "called").read_text().splitlines()


@pytest.mark.parametrize(("fails", "ends_well"), [("", True), ("speed", True), ("run", False), ("report", False)])
def test_the_report_is_made_in_any_case_and_the_status_is_that_of_the_cells(
    tree: Path, fails: str, ends_well: bool
) -> None:
    status, called = make(tree, "bench", fails)
    assert (status == 0) == ends_well
    assert [line.split()[0] for line in called] == ["prepare", "run", "speed", "report"]
    assert called[2:] == ["speed --out results/quick", "report results/quick"]


@pytest.mark.parametrize(("goal", "options"), [("speed", ""), ("speed-check", " --check")])
def test_the_speed_cells_alone(tree: Path, goal: str, options: str) -> None:
    assert make(tree, goal) == (0, [f"speed --out results/quick{options}"])
    assert make(tree, goal, "speed")[0] != 0
