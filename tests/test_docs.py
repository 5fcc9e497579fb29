"""The documents tell the truth: their commands run, their code runs, a method and a task are one file each."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
GUIDE = (ROOT / "suites" / "README.md").read_text(encoding="utf-8")
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def run(arguments: list[str], cwd: Path, **environment: str) -> str:
    done = subprocess.run(
        arguments, cwd=cwd, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{shlex.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def sparsebench(command: str, cwd: Path, **environment: str) -> str:
    program, *arguments = shlex.split(command, comments=True)
    assert program == "sparsebench"
    return run([sys.executable, "-m", "sparsebench.suites.runner", *arguments], cwd, **environment)


@pytest.fixture
def plugin(tmp_path: Path) -> Mapping[str, str]:
    """The guide's method and task, installed as a package outside the tree by the guide's own entry points."""
    site = tmp_path / "site"
    package, info = site / "mypackage", site / "mypackage-1.0.dist-info"
    package.mkdir(parents=True)
    info.mkdir()
    method, task = blocks(GUIDE, "python")
    (package / "__init__.py").write_text("")
    (package / "norm_tuning.py").write_text(method)
    (package / "stripes.py").write_text(task)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mypackage\nVersion: 1.0\n")
    points = blocks(GUIDE, "toml")[0].replace('[project.entry-points."', "[").replace('"]', "]").replace('"', "")
    points = points[: points.index("[sparsebench.backbones]")]
    (info / "entry_points.txt").write_text(points)
    return {"PYTHONPATH": str(site)}


def test_a_method_and_a_task_are_one_short_file_each() -> None:
    method, task = blocks(GUIDE, "python")
    assert len(method.splitlines()) <= 40
    assert len(task.splitlines()) <= 40


def test_the_guide_works_from_outside_the_tree(plugin: Mapping[str, str], tmp_path: Path) -> None:
    listed = sparsebench("sparsebench vtab list", tmp_path, **plugin)
    assert "norm_tuning" in listed
    assert "Stripes: which of eight directions do the stripes run in?" in listed
    command = "sparsebench vtab run --profile smoke --method linear_probe --method norm_tuning --task stripes --seeds 1"
    out = sparsebench(f"{command} --out out --workers 1", tmp_path, **plugin)
    assert "2 ok" in out
    sparsebench("sparsebench report out", tmp_path, **plugin)
    table = (tmp_path / "out" / "report" / "table-vtab.md").read_text()
    assert "norm_tuning" in table
    assert "stripes" in table
    assert "all conform" in sparsebench("sparsebench check norm_tuning", tmp_path, **plugin)


def test_the_readme_commands_run(tmp_path: Path) -> None:
    commands = [line for block in blocks(README, "sh") for line in block.splitlines() if line.strip()]
    ours = [line for line in commands if line.startswith("sparsebench ")]
    assert len(ours) >= 6
    for line in ours:
        sparsebench(line, tmp_path)
    for line in commands:
        if line.startswith("make "):
            run(["make", "--dry-run", *shlex.split(line, comments=True)[1:]], ROOT)
    assert set(line.partition(" ")[0] for line in commands) <= {"sparsebench", "make", "git", "cd", "pip"}


def test_the_readme_code_runs(tmp_path: Path) -> None:
    found = blocks(README, "python")
    assert found
    for block in found:
        run([sys.executable, "-W", "error::FutureWarning", "-c", block], tmp_path)


def test_the_file_map_is_complete() -> None:
    named = set(re.findall(r"`([\w/.]+/)`", README))
    for folder in ("models/", "data/", "suites/", "reports/", "tests/"):
        assert folder in named
    for name in named:
        assert (ROOT / name).is_dir(), name


def test_the_readme_shows_what_the_committed_records_say(tmp_path: Path) -> None:
    committed = ROOT / "reports" / "results" / "quick"
    sparsebench(f"sparsebench report {shlex.quote(str(committed))} --out {shlex.quote(str(tmp_path))}", tmp_path)
    shown = README.partition("<!-- results -->")[2].partition("<!-- /results -->")[0]
    for suite in ("llm", "vtab", "molecules"):
        rows = (tmp_path / f"table-{suite}.md").read_text(encoding="utf-8").splitlines()
        assert [row for row in rows if row.startswith("|") and row not in shown] == []
