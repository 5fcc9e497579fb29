"""Runs of pytest on a small tree with the plug-in of this one."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from .costs import ROOT

COSTS = {
    "tests/test_cheap.py": {"test_one": 0.1, "test_two": 0.1},
    "tests/test_dear.py": {"test_a": 5.0, "test_b": 5.0, "test_c": 5.0},
    "tests/test_huge.py": {"test_d": 100000.0},
}
CONFTEST = """
from .tiers.plugin import TIERS, Tier


def pytest_addoption(parser):
    parser.addoption("--tier", choices=tuple(TIERS))


def pytest_configure(config):
    config.pluginmanager.register(Tier(config))
"""
MEASURED = """
import time

import pytest


@pytest.fixture(scope="module")
def shared():
    start = time.process_time()
    while time.process_time() < start + 1.2:
        pass


@pytest.mark.parametrize("n", [1, 2])
def test_new(n):
    sum(range(9_000_000))


def test_first(shared):
    pass


def test_second(shared):
    pass
"""
BUSY = """
import time


def test_one():
    start = time.process_time()
    while time.process_time() < start + 3:
        pass


def test_two():
    pass
"""


SLOW = """
import time

start = time.process_time()
while time.process_time() < start + 2.5:
    pass
"""
IMPORTS = """
def test_one():
    import slow_to_import


def test_two():
    import slow_to_import
"""
LATER = """    test_one()
"""


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., str]:
    """`run(*arguments)`: pytest over a committed tree of six functions with costs; what it prints."""
    shutil.copytree(ROOT / "tests" / "tiers", tmp_path / "tests" / "tiers", ignore=shutil.ignore_patterns("test_*"))
    (tmp_path / "tests" / "conftest.py").write_text(CONFTEST)
    (tmp_path / "tests" / "costs.json").write_text(json.dumps({"collection": 1.0, "files": COSTS}))
    (tmp_path / "pytest.ini").write_text("[pytest]\ntestpaths = tests\naddopts = --import-mode=importlib\n")
    for file, names in COSTS.items():
        text = "".join(f"def {name}():\n    pass\n\n" for name in names)
        (tmp_path / file).write_text(f"print('imported {file}')\n{text}")
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "GIT_"))}
    environment |= {"GIT_COMMITTER_DATE": "1800000000 +0000", "GIT_AUTHOR_DATE": "1800000000 +0000"}
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "tree"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, env=environment, check=True)

    def start(*arguments: str) -> str:
        command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return start


def passed(output: str) -> set[str]:
    lines = [line for line in output.splitlines() if "PASSED" in line]
    return {word.partition("::")[2].partition("[")[0] for line in lines for word in line.split() if "::" in word}


def test_quick_runs_what_the_working_tree_touches(run: Callable[..., str], tmp_path: Path) -> None:
    assert passed(run("--tier", "quick", "-n", "2")) == set()
    with (tmp_path / "tests/test_dear.py").open("a") as file:
        file.write("def test_added():\n    pass\n")
    output = run("--tier", "quick")
    assert passed(output) == {"test_a", "test_b", "test_c", "test_added"}
    assert "4 more that the change touches; reckoned 0.3 CPU minutes" in output


def test_test_runs_the_cheap_and_says_what_it_leaves(run: Callable[..., str]) -> None:
    """The only commit has nothing before it, so every file counts as changed: more than the budget has room for."""
    output = run("--tier", "test", "-s")
    left = {name for name in ("test_a", "test_b", "test_c", "test_d") if f"::{name}" in output.partition("left to")[2]}
    assert left in ({"test_a", "test_b", "test_c"}, {"test_d"})
    assert passed(output) == {"test_one", "test_two", "test_a", "test_b", "test_c", "test_d"} - left
    assert f"left to `make test-long`: {len(left)} touched functions" in output
    assert ("imported tests/test_huge.py" in output) == ("test_d" not in left)
    assert ("imported tests/test_dear.py" in output) == ("test_d" in left)


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_test_says_which_figures_are_off(run: Callable[..., str], tmp_path: Path, workers: tuple[str, ...]) -> None:
    (tmp_path / "tests/test_cheap.py").write_text(BUSY)
    output = run("--tier", "test", *workers)
    assert "1 figures of tests/costs.json are far too low: tests/test_cheap.py::test_one 0.1 s, took " in output
    assert json.loads((tmp_path / "tests/costs.json").read_text())["files"] == COSTS


def test_imports_inside_of_a_function_are_no_cost_of_it(run: Callable[..., str], tmp_path: Path) -> None:
    """Whoever comes first in a process pays them: 4.1 of 5 s of a function that was known with 0.02."""
    (tmp_path / "slow_to_import.py").write_text(SLOW)
    (tmp_path / "tests/test_cheap.py").write_text(IMPORTS)
    output = run("--tier", "test", "--override-ini=pythonpath=.")
    assert "far too low" not in output and "CPU minutes, without their imports" in output
    (tmp_path / "tests/costs.json").write_text(json.dumps({"collection": 0.1, "files": {}}))
    for name in ("test_dear", "test_huge"):
        (tmp_path / f"tests/{name}.py").unlink()
    run("--tier", "long", "--override-ini=pythonpath=.")
    written = json.loads((tmp_path / "tests/costs.json").read_text())
    assert written["files"]["tests/test_cheap.py"]["test_one"] < 1 and written["collection"] > 2


def test_who_paid_for_the_rest_of_a_file_comes_last(run: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "tests/test_cheap.py").write_text(BUSY.removesuffix("    pass\n") + LATER)
    output = run("--tier", "test")
    said = output.partition("far too low: ")[2].partition("\n")[0]
    assert said.index("::test_two") < said.index("::test_one")
    assert said.endswith("; the last 1 ran first of their file, which may have paid for the rest of it")


def test_what_is_named_is_run(run: Callable[..., str]) -> None:
    assert passed(run("--tier", "quick", "tests/test_huge.py")) == {"test_d"}
    assert passed(run("--tier", "quick", "tests/test_dear.py::test_b")) == {"test_b"}
    assert passed(run("--tier", "quick", "-k", "test_two")) == {"test_two"}
    assert len(passed(run())) == 6


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_new_functions_are_measured_and_written(
    run: Callable[..., str], tmp_path: Path, workers: tuple[str, ...]
) -> None:
    (tmp_path / "tests/test_more.py").write_text(MEASURED)
    absent = "import pytest\n\npytest.importorskip('no_such_library')\n\ndef test_absent():\n    pass\n"
    (tmp_path / "tests/test_elsewhere.py").write_text(absent)
    (tmp_path / "tests/test_huge.py").unlink()
    assert passed(run("--tier", "new", *workers)) == {"test_new", "test_first", "test_second"}
    written = json.loads((tmp_path / "tests" / "costs.json").read_text())
    costs = written["files"].pop("tests/test_more.py")
    assert 0.1 < costs.pop("test_new") < 30
    assert all(own < 1 < shared < 30 for own, shared in costs.values()) and len(costs) == 2
    assert written["files"].pop("tests/test_elsewhere.py") == {"test_absent": 0.02}
    assert written == {"collection": 1.0, "files": {name: COSTS[name] for name in COSTS if "huge" not in name}}
