"""Killed at any step and started again, on another number of ranks too: the same weights and draws."""

import json
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

STEPS = 60
TOY = Path(__file__).with_name("toy_run.py")


def run(folder: Path, ranks: int = 1, steps: int = STEPS, kill: int = 0) -> None:
    folder.mkdir(exist_ok=True)
    checkpoint = folder / "checkpoint.json"
    if checkpoint.exists():  # a copy: a rank that is slow to start shall not find a newer one
        shutil.copy(checkpoint, folder / "start.json")
    started = []
    for rank in range(ranks):
        arguments = [folder, rank, ranks, steps, kill]
        started.append(subprocess.Popen([sys.executable, str(TOY), *map(str, arguments)]))
    codes = [process.wait(timeout=120) for process in started]
    assert codes == [-signal.SIGKILL if kill else 0] * ranks


def seen(folder: Path) -> dict[tuple[int, int], tuple]:
    """Rows and weights of every batch, by step and number; what was done twice must have been the same."""
    found = {}
    for file in folder.glob("seen-*.jsonl"):
        for line in file.read_text().splitlines():
            entry = json.loads(line)
            key = (entry["step"], entry["batch"])
            content = (entry["rows"], entry["weights"])
            assert found.setdefault(key, content) == content
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    run(folder)
    found = seen(folder)
    assert len(found) == 4 * STEPS
    assert len({json.dumps(weights) for _, weights in found.values()}) == STEPS // 10
    return found


def test_killed_at_random_steps(whole, tmp_path):
    folder = tmp_path / "run"
    kills = sorted(random.sample(range(2, STEPS), 3))
    for kill in kills:
        run(folder, kill=kill)
    run(folder)
    assert seen(folder) == whole, f"killed in steps {kills}"


def test_on_two_ranks_then_one_then_two(whole, tmp_path):
    folder = tmp_path / "run"
    run(folder, ranks=2, kill=25)
    run(folder, ranks=1, kill=44)
    run(folder, ranks=2)
    assert seen(folder) == whole
