"""Runs and their workers killed at random moments: nothing is lost, nothing is done twice, every digit is the same."""

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from .conftest import Bench, processes_of, scores
from .draws import RunTally, number, refusal

VICTIMS = ("run", "group", "worker", "terminate", "interrupt", "everything")
KILLS = number(6, 100)
SEEDS = number(12, 40)


@dataclass
class KillTally(RunTally):
    """What kills did to a run."""

    kind: str = "kills"
    kills: int = 0


@pytest.mark.timeout(KILLS * 60 + 240)
@pytest.mark.usefixtures("no_process_stays")
def test_random_kills(bench: Bench, record_property: Callable) -> None:
    profile = bench.profile([{"name": "misbehave", "config": {"nap": 0.2}, "label": "napping"}], seeds=SEEDS)
    assert bench.call(*bench.run_arguments(profile, bench.folder / "whole")).returncode == 0
    whole = scores(bench.folder / "whole")
    assert len(whole) == SEEDS
    tally = KillTally()
    seen: dict[str, bytes] = {}
    out = bench.folder / "killed 0"
    for draw in range(KILLS):
        chance = random.Random(draw)
        strike(bench, profile, out, VICTIMS[draw % len(VICTIMS)], chance, tally)
        look(out, seen, tally)
        if len(seen) == SEEDS:
            finish(bench, profile, out, seen, whole, tally)
            seen, out = {}, bench.folder / f"killed {draw + 1}"
    finish(bench, profile, out, seen, whole, tally)
    tally.check(record_property, KILLS)


def strike(bench: Bench, profile: str, out: Path, victim: str, chance: random.Random, tally: KillTally) -> None:
    """Start the run and kill what is named after a random time; a run that only lost a worker is let run on a while."""
    run = bench.start(*bench.run_arguments(profile, out))
    tally.kills += 1
    try:
        run.wait(chance.uniform(0.3, 6.0))
    except subprocess.TimeoutExpired:
        tally.inside += 1
        if victim == "worker":
            kill_a_worker(run.pid, chance)
            wait(run, chance.uniform(0.5, 4.0))
        kill(run, victim, bench.folder)
        run.wait()
    if "Traceback" in bench.output():
        tally.defect("tracebacks", bench.output()[-2000:])


def wait(run: subprocess.Popen, seconds: float) -> None:
    try:
        run.wait(seconds)
    except subprocess.TimeoutExpired:
        return


def kill_a_worker(pid: int, chance: random.Random) -> None:
    """Any process below the run: a worker, or what starts workers."""
    below = psutil.Process(pid).children(recursive=True)
    if below:
        try:
            chance.choice(below).kill()
        except psutil.NoSuchProcess:
            return


def kill(run: subprocess.Popen, victim: str, folder: Path) -> None:
    if run.poll() is not None:
        return
    if victim == "group":
        os.killpg(run.pid, signal.SIGKILL)
    elif victim == "interrupt":
        os.killpg(run.pid, signal.SIGINT)
    elif victim == "terminate":
        run.terminate()
    elif victim == "everything":
        for process in processes_of(folder):
            process.kill()
    else:
        run.kill()


def look(out: Path, seen: dict[str, bytes], tally: KillTally) -> None:
    """Every finished record is whole, and those seen before are byte for byte what they were."""
    folder = out / "records"
    for name, content in list(seen.items()):
        path = folder / name
        if not path.exists():
            tally.defect("lost", f"{path} is gone")
        elif path.read_bytes() != content:
            tally.defect("doubled", f"{path} was made again")
    for path in folder.glob("*.json"):
        content = path.read_bytes()
        if json.loads(content)["status"] == "ok":
            seen[path.name] = content


def finish(
    bench: Bench, profile: str, out: Path, seen: dict[str, bytes], whole: dict[str, object], tally: KillTally
) -> None:
    """The same command goes on to the end, and what it has then is what a run without kills has."""
    start = time.monotonic()
    last = bench.call(*bench.run_arguments(profile, out))
    look(out, seen, tally)
    found = scores(out)
    tally.cells += len(found)
    if last.returncode or "Traceback" in last.stdout + last.stderr:
        tally.defect("tracebacks", f"exit code {last.returncode}: {last.stdout[-500:]} {last.stderr[-2000:]}")
    for cell, expected in whole.items():
        if cell not in found:
            tally.defect("lost", f"{cell} has no record")
        elif found[cell] != expected:
            tally.defect("different", f"{cell}: {found[cell]} instead of {expected}")
    if len(list((out / "records").iterdir())) != len(whole):
        tally.defect("doubled", f"{sorted(path.name for path in (out / 'records').iterdir())}")
    assert time.monotonic() - start < 200


@pytest.mark.usefixtures("no_process_stays")
def test_a_cell_that_holds_the_interpreter_dies_with_its_run(bench: Bench) -> None:
    """A killed run leaves nobody behind that burns a core or holds a lock, so the next one starts at once."""
    profile = bench.profile(["hold_the_interpreter", "fork_and_stay", "nothing"], timeout=200)
    run = bench.start(*bench.run_arguments(profile, workers=3))
    deadline = time.monotonic() + 60
    while len(list((bench.out / "records").glob("*.json"))) < 2:
        assert time.monotonic() < deadline, bench.output()
        time.sleep(0.1)
    run.kill()
    run.wait()
    other = bench.profile(["nothing"], name="other")
    again = bench.call(*bench.run_arguments(other), timeout=60)
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.usefixtures("no_process_stays")
def test_two_runs_at_once(bench: Bench) -> None:
    """In one folder the second is refused in one line; in two folders both come to their end, with equal scores."""
    profile = bench.profile([{"name": "misbehave", "config": {"nap": 8.0}, "label": "napping"}], seeds=3)
    first = bench.start(*bench.run_arguments(profile, workers=1))
    deadline = time.monotonic() + 60
    while not list((bench.out / "records").glob("*.json")):
        assert time.monotonic() < deadline, bench.output()
        time.sleep(0.1)
    second = bench.call(*bench.run_arguments(profile))
    assert second.returncode == 2
    assert "another run is writing" in second.stderr
    assert refusal(second.stderr)
    other = bench.call(*bench.run_arguments(profile, bench.folder / "other", workers=1))
    assert other.returncode == 0
    assert first.wait(120) == 0
    assert scores(bench.out) == scores(bench.folder / "other")
