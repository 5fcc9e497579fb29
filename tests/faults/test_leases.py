"""Three processes on a shared folder under random faults: nothing is lost, nothing recorded twice, no digit differs.

How is counted: each execution of a cell has a random name. A cell that comes to its end writes the name into a log,
and the record that is made of it holds the name. A cell without a record is lost. A cell is doubled if the file of its
ok record ever changes after it was first seen (a thread looks 20 times a second), or if there are two records of it.
Executions that came to their end and are in no record are no doubles: their owner had lost its lease, and was refused.
"""

import contextlib
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest
import yaml

from sparsebench.reports.records.store import Store

from .conftest import PLUGIN, Bench, scores
from .draws import LONG, RunTally

PROCESSES = 3
CELLS = 60 if LONG else 15
FAULTS = 30 if LONG else 5
NAP = 6.0 if LONG else 4.0
LEASE = 5 if LONG else 2
STOPS = (5.0, 60.0) if LONG else (3.0, 6.0)
PAUSES = (1.0, 6.0) if LONG else (1.0, 3.0)
SMALLEST_FILE = 16
"""Bytes: no file that the runner writes fits into a disk so full."""
OF_A_FAULT = ("lost each time", "lost its worker twice", "killed by SIGKILL", "File too large")
"""What a record says of a cell whose worker or process was lost, or whose own log met the full disk; of no other."""
MOST_SECONDS = 1800 if LONG else 240


@dataclass
class LeaseTally(RunTally):
    """What faults did to the processes of a run."""

    kind: str = "leases on a shared folder"
    faults: int = 0
    executions: int = 0
    refused_processes: int = 0
    refused: int = 0
    """Executions that came to their end and were not recorded, since the lease was lost."""
    lost_twice: int = 0
    """Cells recorded as begun twice and lost each time; a further run gave them a score."""


class Member:
    """One of the processes, which is started again when it has ended."""

    def __init__(self, shared: "Shared", number: int) -> None:
        self.shared = shared
        self.number = number
        self.stopped_until = 0.0
        self.output: list[str] = []
        self.start()

    def start(self) -> None:
        self.process = self.shared.start("--executor", "leases", "--lease", str(LEASE), "--workers", "1")
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: subprocess.Popen) -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            self.output.extend(lines)

    @property
    def runs(self) -> bool:
        return self.process.poll() is None

    def processes(self) -> list[psutil.Process]:
        """It and all below it."""
        with contextlib.suppress(psutil.NoSuchProcess):
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        return []

    def holds_a_lease(self) -> bool:
        for owner in self.shared.out.glob("leases/run-*/cells/*/owner.json"):
            with contextlib.suppress(FileNotFoundError):
                token = json.loads(owner.read_text())["owner"]
                if not (owner.parent / f"stage-{token}").is_dir():
                    continue
                about = json.loads((owner.parents[2] / "members" / token / "process.json").read_text())
                if about["pid"] == self.process.pid:
                    return True
        return False

    def clear_away(self) -> None:
        """What stood still while its parent was killed has not heard of that."""
        self.stopped_until = 0.0
        self.signal_all(signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def signal_all(self, number: signal.Signals) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)


class Shared:
    """A result folder, a profile, and commands on them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.bench = Bench(folder)
        self.out = self.bench.out
        self.log = folder / "log.txt"
        self.visitors: list[subprocess.Popen] = []
        suite = {"seeds": CELLS, "backbones": ["fault_line"], "methods": ["as_it_is"], "tasks": ["logged_sum"]}
        (folder / "toys.yaml").write_text(yaml.safe_dump({"molecules": {**suite, "timeout": 300}}))

    def environment(self, plugin: Path = PLUGIN, log: Path | None = None, nap: float = NAP) -> dict[str, str]:
        own = {"PYTHONPATH": str(plugin), "FAULTY_LOG": str(log or self.log), "FAULTY_NAP": str(nap)}
        return {**self.bench.environment, **own}

    def command(self, *options: str, out: Path | None = None) -> list[str]:
        profile = str(self.folder / "toys.yaml")
        return self.bench.command("run", "--profile", profile, "--out", str(out or self.out), *options)

    def start(self, *options: str, plugin: Path = PLUGIN) -> subprocess.Popen:
        return subprocess.Popen(
            self.command(*options),
            env=self.environment(plugin),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def call(self, *options: str, out: Path | None = None, **environment) -> subprocess.CompletedProcess:
        return subprocess.run(
            self.command(*options, out=out),
            env=self.environment(**environment),
            capture_output=True,
            text=True,
            timeout=MOST_SECONDS,
        )

    def records(self) -> list[Path]:
        return list((self.out / "records").glob("[!.]*.json"))


class Watch(threading.Thread):
    """Looks again and again whether a record that is there changes."""

    def __init__(self, shared: Shared) -> None:
        super().__init__(daemon=True)
        self.shared = shared
        self.seen: dict[str, bytes] = {}
        self.changed: list[str] = []
        self.over = threading.Event()

    def run(self) -> None:
        while not self.over.wait(0.05):
            self.look()

    def look(self) -> None:
        for path in self.shared.records():
            content = path.read_bytes()
            if b'"status": "ok"' in content and self.seen.setdefault(path.name, content) != content:
                self.changed.append(path.name)


def kill_worker(member: Member, chance: random.Random, tally: LeaseTally) -> None:
    below = member.processes()[1:]
    if below:
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(below).kill()


def kill_process(member: Member, chance: random.Random, tally: LeaseTally) -> None:
    member.process.kill()
    member.process.wait()


def stop_for_a_while(member: Member, chance: random.Random, tally: LeaseTally) -> None:
    """It and its workers, or it alone while its worker goes on: cut off from the others, in both cases."""
    if chance.random() < 0.5:
        member.signal_all(signal.SIGSTOP)
    else:
        member.process.send_signal(signal.SIGSTOP)
    member.stopped_until = time.monotonic() + chance.uniform(*STOPS)


def fill_disk(member: Member, chance: random.Random, tally: LeaseTally) -> None:
    """For this process and its workers alone no file can grow."""
    for process in member.processes():
        with contextlib.suppress(ProcessLookupError, psutil.NoSuchProcess):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (SMALLEST_FILE, resource.RLIM_INFINITY))


def come_with_other_code(member: Member, chance: random.Random, tally: LeaseTally) -> None:
    """A fourth process, whose task is another. It would run nothing: no harm where it comes when all is done."""
    shared = member.shared
    other = shared.folder / "other code"
    if not other.exists():
        shutil.copytree(PLUGIN, other)
        task = other / "faulty" / "logged_sum.py"
        task.write_text(task.read_text().replace("NAME_BYTES = 8", "NAME_BYTES = 9"))
    options = ("--executor", "leases", "--workers", "1", "--reuse", "only")
    shared.visitors.append(shared.start(*options, plugin=other))


def judge_visitors(shared: Shared, tally: LeaseTally) -> None:
    """Who came with other code was refused in one line that names the file, unless nobody was there any more."""
    for visitor in shared.visitors:
        said, _ = visitor.communicate(timeout=MOST_SECONDS)
        errors = [line for line in said.splitlines() if line.startswith("sparsebench: ")]
        refused = visitor.returncode == 2 and len(errors) == 1 and "faulty.logged_sum" in errors[0]
        tally.refused_processes += refused
        if not refused and not (visitor.returncode == 1 and "0 to run" in said):
            tally.defect("tracebacks", f"other code was not refused: {visitor.returncode} {said}")


FAULT_KINDS = (come_with_other_code, kill_worker, kill_process, stop_for_a_while, fill_disk)


@pytest.mark.timeout(MOST_SECONDS + 300)
def test_random_faults(tmp_path: Path, record_property: Callable) -> None:
    shared = Shared(tmp_path)
    tally = LeaseTally(cells=CELLS)
    whole = shared.call("--workers", "2", out=tmp_path / "whole", log=tmp_path / "whole log", nap=0)
    assert whole.returncode == 0, whole.stdout + whole.stderr
    members = [Member(shared, number) for number in range(PROCESSES)]
    watch = Watch(shared)
    watch.start()
    try:
        strike(members, watch, tally)
        wait_for_the_end(members)
        judge_visitors(shared, tally)
    finally:
        for member in members:
            member.clear_away()
    check_cells(shared, watch, tally)
    check_outputs(members, tally)
    again = shared.call("--workers", "2", nap=0)
    watch.over.set()
    watch.join()
    if again.returncode or "Traceback" in again.stderr:
        tally.defect("lost", f"the last run ended with {again.returncode}: {again.stdout[-500:]} {again.stderr[-500:]}")
    compare(shared, tmp_path / "whole", watch, tally)
    tally.check(record_property, FAULTS)
    assert tally.refused_processes, tally
    assert [path.name[:5] for path in (shared.out / "leases").glob("[!.]*")] == ["over-"]
    assert not list((shared.out / "leases").glob(".new-*"))


def strike(members: list[Member], watch: Watch, tally: LeaseTally) -> None:
    """All faults, one after the other, on processes that are there; what has ended is started again."""
    wait_until(lambda: bool(watch.seen), members)
    for draw in range(FAULTS):
        chance = random.Random(draw)
        pause_until = time.monotonic() + chance.uniform(*PAUSES)
        while time.monotonic() < pause_until:
            look_after(members)
            time.sleep(0.1)
        wait_until(lambda: bool(at_work(members)) or len(watch.seen) == CELLS, members)
        victim = chance.choice(at_work(members) or members)
        tally.faults += 1
        tally.inside += len(watch.seen) < CELLS
        FAULT_KINDS[draw % len(FAULT_KINDS)](victim, chance, tally)


def at_work(members: list[Member]) -> list[Member]:
    """Those that hold a lease: a fault that meets a process while it starts would prove little."""
    return [member for member in members if member.runs and not member.stopped_until and member.holds_a_lease()]


def look_after(members: list[Member]) -> None:
    """Let go on what stood still for long enough, and start again what has ended before the work was done."""
    for member in members:
        if member.stopped_until and time.monotonic() > member.stopped_until:
            member.stopped_until = 0.0
            member.signal_all(signal.SIGCONT)
        if not member.runs and len(member.shared.records()) < CELLS:
            member.clear_away()
            member.start()


def wait_until(condition: Callable[[], bool], members: list[Member]) -> None:
    deadline = time.monotonic() + MOST_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "\n".join(member.output[-1] for member in members if member.output)
        look_after(members)
        time.sleep(0.1)


def wait_for_the_end(members: list[Member]) -> None:
    wait_until(lambda: not any(member.runs for member in members), members)


def check_cells(shared: Shared, watch: Watch, tally: LeaseTally) -> None:
    """Each cell has one record, and what is recorded is an execution that came to its end."""
    executions = [line.split()[1] for line in shared.log.read_text().splitlines()]
    records, problems = Store(shared.out).open().read_all()
    recorded = {record.details["execution"] for record in records if record.status == "ok"}
    seeds = [record.cell.seed for record in records]
    for problem in problems:
        tally.defect("lost", str(problem))
    for seed in set(range(CELLS)) - set(seeds):
        tally.defect("lost", f"seed {seed}")
    if len(seeds) > len(set(seeds)):
        tally.defect("doubled", f"{sorted(seeds)}")
    if not recorded <= set(executions):
        tally.defect("different", f"recorded, but never executed: {recorded - set(executions)}")
    for record in records:
        if record.status != "ok":
            tally.lost_twice += 1
            if not any(words in (record.reason or "") for words in OF_A_FAULT):
                tally.defect("different", f"seed {record.cell.seed}: {record.reason}")
    tally.executions = len(executions)
    tally.refused = len(set(executions) - recorded)


def check_outputs(members: list[Member], tally: LeaseTally) -> None:
    for member in members:
        text = "".join(member.output)
        if "Traceback" in text:
            tally.defect("tracebacks", text[text.index("Traceback") :][:3000])


def compare(shared: Shared, whole: Path, watch: Watch, tally: LeaseTally) -> None:
    """After a last run, which gave scores to what was lost twice: as many records as cells, and each score equal."""
    for name in watch.changed:
        tally.defect("doubled", name)
    found = scores(shared.out)
    for cell, expected in scores(whole).items():
        if found.get(cell) != expected:
            tally.defect("different", f"{cell}: {found.get(cell)} instead of {expected}")
