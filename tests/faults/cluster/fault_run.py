"""A run on a Ray cluster under random faults, the same command again and again until all cells have their scores."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from .ray_machines import WORKERS, Machines

KINDS = {"worker": 8, "driver": 5, "head": 4, "partition": 7, "full disk": 3, "other code": 3}
"""How many faults of each kind a run meets."""
PARTITION_SECONDS = (5.0, 60.0)
DISK_SECONDS = 20.0
OTHER_CODE_SECONDS = 120.0
"""At most; it ends as soon as the node was refused."""
REFUSAL = "other code or data than here: napbench.nap_sum"
TURN_SECONDS = 0.2
RUN_SECONDS = 3600.0


@dataclass
class Report:
    """What was done to the run, and what came of it."""

    faults: Counter[str] = field(default_factory=Counter)
    commands: int = 0
    exits: Counter[str] = field(default_factory=Counter)
    rewritten: list[str] = field(default_factory=list)
    tracebacks: int = 0
    retried: int = 0
    refused: int = 0
    seconds: float = 0.0


@dataclass
class FaultRun:
    """The run, its faults in random order, and an eye on the records."""

    machines: Machines
    profile: Path
    out: Path
    cells: int
    kinds: list[str]
    draw: random.Random
    report: Report = field(default_factory=Report)

    def __post_init__(self) -> None:
        self.driver: subprocess.Popen | None = None
        self.endings: list[tuple[Callable[[], bool], Callable[[], None]]] = []
        self.busy: set[str] = set()
        self.seen: dict[str, tuple[int, int]] = {}
        self.next_fault = 0.0
        self.total = len(self.kinds)

    def run(self) -> Report:
        """Until all faults were made and all cells have a score."""
        start = time.monotonic()
        while self.kinds or len(self.seen) < self.cells:
            assert time.monotonic() - start < RUN_SECONDS, f"{len(self.seen)} of {self.cells} cells after an hour"
            self._watch()
            self._keep_running()
            self._make_fault()
            self._end_faults()
            time.sleep(TURN_SECONDS)
        for _, ending in self.endings:
            ending()
        self._finish()
        self.report.seconds = time.monotonic() - start
        return self.report

    def command(self) -> list[str]:
        bench = [sys.executable, "-m", "sparsebench.suites.runner", "run", "--profile", str(self.profile)]
        return [*bench, "--out", str(self.out), "--executor", "ray", "--address", self.machines.address]

    def _watch(self) -> None:
        """A score that was there and is written again is one too many."""
        for path in (self.out / "records").glob("*.json"):
            status = path.stat()
            mark = (status.st_mtime_ns, status.st_ino)
            if self.seen.get(path.stem, mark) != mark:
                self.report.rewritten.append(path.stem)
            if path.stem in self.seen or json.loads(path.read_text())["status"] == "ok":
                self.seen[path.stem] = mark

    def _keep_running(self) -> None:
        if self.driver is not None and self.driver.poll() is None:
            return
        if self.driver is not None:
            self.report.exits[str(self.driver.returncode)] += 1
        if len(self.seen) < self.cells:
            self._start()

    def _start(self) -> None:
        self.report.commands += 1
        with (self.out.parent / f"output-{self.report.commands:03}.txt").open("wb") as output:
            self.driver = subprocess.Popen(
                self.machines.net.inside("head", *self.command()),
                env=self.machines.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _make_fault(self) -> None:
        """The next one as soon as its share of the cells has a score, and a moment later, so that cells run."""
        if not self.kinds:
            return
        made = self.total - len(self.kinds)
        if len(self.seen) < made * self.cells // (self.total + 1) or len(self.seen) == 0:
            self.next_fault = time.monotonic() + self.draw.uniform(0.0, 2.0)
        elif time.monotonic() > self.next_fault and getattr(self, f"_{self.kinds[0].replace(' ', '_')}")():
            self.report.faults[self.kinds.pop(0)] += 1
            self.next_fault = time.monotonic() + self.draw.uniform(0.0, 2.0)

    def _worker(self) -> bool:
        numbers = self.machines.cell_processes()
        return bool(numbers) and kill(self.draw.choice(numbers))

    def _driver(self) -> bool:
        return self.driver is not None and self.driver.poll() is None and kill(self.driver.pid)

    def _head(self) -> bool:
        assert self.driver is not None
        self.machines.end("head", spared=self.driver.pid)
        self.machines.start_head()
        return True

    def _partition(self) -> bool:
        net = self.machines.net
        seconds = self.draw.uniform(*PARTITION_SECONDS)
        return self._for_a_while(after(seconds), net.cut, net.mend)

    def _full_disk(self) -> bool:
        return self._for_a_while(after(DISK_SECONDS), self.machines.fill, self.machines.empty)

    def _other_code(self) -> bool:
        other = self.machines.other_code()

        def change(name: str) -> None:
            self.machines.install(name, other)
            for agent in self.machines.agents(name):
                kill(agent.pid)  # what runs has read the code already

        refusals = self._count(REFUSAL)
        too_long = after(OTHER_CODE_SECONDS)
        return self._for_a_while(lambda: self._count(REFUSAL) > refusals or too_long(), change, self.machines.install)

    def _for_a_while(
        self, is_over: Callable[[], bool], begin: Callable[[str], None], end: Callable[[str], None]
    ) -> bool:
        """Do it to a worker that has no such trouble yet, if there is one."""
        free = [name for name in WORKERS if name not in self.busy]
        if not free:
            return False
        name = self.draw.choice(free)
        self.busy.add(name)
        begin(name)

        def ending() -> None:
            end(name)
            self.busy.discard(name)

        self.endings.append((is_over, ending))
        return True

    def _end_faults(self) -> None:
        for one in [one for one in self.endings if one[0]()]:
            self.endings.remove(one)
            one[1]()

    def _count(self, text: str) -> int:
        """How often the text is in what all runs of the command have printed."""
        return sum(path.read_text(errors="replace").count(text) for path in self.out.parent.glob("output-*.txt"))

    def _finish(self) -> None:
        """The command must say that all is well; what all of its runs printed is read."""
        deadline = time.monotonic() + 300
        while self.driver is None or self.driver.poll() is None or self.driver.returncode:
            assert time.monotonic() < deadline, "the command does not come to an end with all scores there"
            if self.driver is None or self.driver.poll() is not None:
                self._start()
            time.sleep(TURN_SECONDS)
        self._watch()
        self.report.tracebacks = self._count("Traceback (most recent call last)")
        self.report.retried = self._count("\nagain   ")
        self.report.refused = self._count(REFUSAL)


def after(seconds: float) -> Callable[[], bool]:
    """Whether so many seconds have passed since now."""
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def kill(number: int) -> bool:
    """Whether it was there to be killed."""
    try:
        os.kill(number, signal.SIGKILL)
    except ProcessLookupError:
        return False
    return True
