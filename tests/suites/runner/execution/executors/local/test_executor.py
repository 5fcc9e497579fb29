"""What a run survives: crashing cells, killed workers, a kill of the whole run."""

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path

import psutil

from sparsebench.reports.records.store import Store

KILLS = int(os.environ.get("SPARSEBENCH_KILLS", "12"))


def records(bench) -> dict:
    found, problems = Store(bench.out).open().read_all()
    assert problems == []
    return {record.cell.label + str(record.cell.seed): record for record in found}


def test_each_fault_is_a_record_and_the_run_goes_on(bench) -> None:
    """Those of all kinds, in each executor: `../test_contract.py`."""
    bench.write_toys("toy_crash", "toy_raise", "toy_picky", "toy_fine", seeds=2)
    done = bench.call(*bench.run_arguments())
    assert done.returncode == 1, done.stdout + done.stderr
    found = records(bench)
    for seed in "01":
        assert found["toy_fine" + seed].status == "ok"
        assert found["toy_crash" + seed].reason == "lost its worker twice: worker process ended with exit code 3"
        assert "toy_raise.py" in found["toy_raise" + seed].traceback
    assert found["toy_picky0"].status == "n/a"
    assert found["toy_picky0"].reason == "toy_line has no spokes"
    assert "toy_picky1" not in found
    assert "the toy broke" in done.stdout


def test_a_failed_cell_is_tried_again_and_a_finished_one_is_not(bench) -> None:
    bench.write_toys("toy_raise", "toy_fine")
    bench.call(*bench.run_arguments())
    first = records(bench)
    again = bench.call(*bench.run_arguments())
    assert "2 cells, 1 to run" in again.stdout
    second = records(bench)
    assert second["toy_fine0"] == first["toy_fine0"]
    nothing = bench.call(*bench.run_arguments(), "--reuse", "only")
    assert "2 cells, 0 to run" in nothing.stdout
    assert nothing.returncode == 1


def test_a_killed_worker_costs_no_record(bench) -> None:
    bench.write_toys({"name": "toy_fine", "config": {"nap": 2.0}}, seeds=4)
    run = bench.start(*bench.run_arguments(workers=1))
    wait_for_first_record(bench.out)
    time.sleep(0.5)  # the worker is inside its second cell now
    workers(run.pid)[0].kill()
    output, _ = run.communicate(timeout=120)
    assert run.returncode == 0, output
    assert [record.status for record in records(bench).values()] == ["ok"] * 4
    assert output.count("again ") == 1
    assert "SIGKILL" in output


def workers(pid: int) -> list[psutil.Process]:
    """The worker processes of a run."""
    return [child for child in psutil.Process(pid).children(recursive=True) if child.name() == "bench-worker"]


def wait_for_first_record(out: Path) -> None:
    deadline = time.monotonic() + 60
    while not list((out / "records").glob("*.json")):
        assert time.monotonic() < deadline, "no record after a minute"
        time.sleep(0.05)


def test_a_run_killed_at_any_moment_goes_on_where_it_was(bench, tmp_path: Path) -> None:
    seeds = 60
    bench.write_toys({"name": "toy_fine", "config": {"nap": 0.7}}, seeds=seeds)
    chance = random.Random(20261124)
    seen: dict[str, bytes] = {}
    killed_inside = 0
    for attempt in range(KILLS):
        run = bench.start(*bench.run_arguments())
        delay = chance.uniform(0.2, 8.0)
        try:
            run.communicate(timeout=delay)
        except subprocess.TimeoutExpired:
            kill = os.killpg if attempt % 2 else os.kill  # the whole group, or the parent alone with orphans left
            kill(run.pid, signal.SIGKILL)
            run.communicate()
            killed_inside += len(seen) < seeds
        check_and_remember(bench.out, seen)
    assert killed_inside >= KILLS // 2  # enough kills hit a run that still had work to do
    last = bench.call(*bench.run_arguments())
    assert last.returncode == 0, last.stdout + last.stderr
    check_and_remember(bench.out, seen)
    assert len(seen) == seeds
    assert not list((bench.out / "records").glob(".*.tmp"))


def check_and_remember(out: Path, seen: dict[str, bytes]) -> None:
    """Every record is whole, and those seen before are byte for byte what they were: not lost, not run twice."""
    if not (out / "records").exists():
        return
    for name, content in seen.items():
        assert (out / "records" / name).read_bytes() == content
    for path in (out / "records").glob("*.json"):
        content = path.read_bytes()
        assert json.loads(content)["status"] == "ok"
        seen[path.name] = content


def test_an_interrupted_run_says_how_to_go_on(bench) -> None:
    bench.write_toys({"name": "toy_fine", "config": {"nap": 1.0}}, seeds=3)
    run = bench.start(*bench.run_arguments(workers=1))
    wait_for_first_record(bench.out)
    os.killpg(run.pid, signal.SIGINT)
    output, _ = run.communicate(timeout=30)
    assert run.returncode == 130, output
    assert "the same command goes on from here" in output
    assert bench.call(*bench.run_arguments()).returncode == 0
