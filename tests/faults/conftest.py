"""Runs of the command line with a package of faults, and the summary of what all faults came to."""

import contextlib
import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store

PLUGIN = Path(__file__).parent / "plugin"


class Bench:
    """A folder with profiles and a cache, and the command line run against it in processes of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.out = folder / "out"
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(PLUGIN),
            "SPARSEBENCH_OFFLINE": "1",
            "SPARSEBENCH_CACHE": str(folder / "cache"),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
        }

    def profile(self, rows: Sequence[Any], *, seeds: int = 1, timeout: float = 60, name: str = "faults") -> str:
        """Write a profile of these rows; a text is the name of a fault."""
        import yaml

        methods = []
        for row in rows:
            methods.append({"name": "misbehave", "config": {"how": row}, "label": row} if isinstance(row, str) else row)
        suite = {"backbones": ["fault_line"], "tasks": ["state_sum"], "methods": methods}
        path = self.folder / f"{name}.yaml"
        path.write_text(yaml.safe_dump({"molecules": {**suite, "seeds": seeds, "timeout": timeout}}))
        return str(path)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "sparsebench.suites.runner", *arguments]

    def run_arguments(self, profile: str, out: Path | None = None, workers: int = 2) -> list[str]:
        return ["run", "--profile", profile, "--out", str(out or self.out), "--workers", str(workers)]

    def start(self, *arguments: str, **options: Any) -> subprocess.Popen:
        """Start a command in a process group of its own, with its output in a file that no pipe can block."""
        with (self.folder / "output.txt").open("wb") as output:
            return subprocess.Popen(
                self.command(*arguments),
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **{"preexec_fn": _answer_interrupts, **options},
            )

    def output(self) -> str:
        """What the command that was started last has written."""
        return (self.folder / "output.txt").read_text(errors="replace")

    def call(self, *arguments: str, timeout: float = 200, **options: Any) -> subprocess.CompletedProcess:
        """Run a command to its end; what its cells leave behind may live on, and is not waited for."""
        files = [self.folder / "call_out.txt", self.folder / "call_err.txt"]
        with files[0].open("wb") as out, files[1].open("wb") as err:
            options = {"env": self.environment, "start_new_session": True, **options}
            started = subprocess.Popen(self.command(*arguments), stdout=out, stderr=err, **options)
            try:
                started.wait(timeout)
            finally:
                if started.poll() is None:
                    os.killpg(started.pid, signal.SIGKILL)
                    started.wait()
        texts = [file.read_text(errors="replace") for file in files]
        return subprocess.CompletedProcess(started.args, started.returncode, *texts)

    def records(self, out: Path | None = None) -> dict[str, Record]:
        """The records of a result folder by label and seed; all of its files must be readable."""
        found, problems = Store(out or self.out).open().read_all()
        assert problems == []
        return {f"{record.cell.label} {record.cell.seed}": record for record in found}


def scores(folder: Path) -> dict[str, object]:
    """Status, metrics and per-example outcomes of each record by its id; all must be readable."""
    store = Store(folder).open()
    records, problems = store.read_all()
    assert problems == []
    return {record.id: (record.status, record.metrics, store.read_examples(record.id)) for record in records}


def _answer_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job ignores Ctrl-C, and so would all it starts


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def no_process_stays(bench: Bench) -> Iterator[None]:
    """After the test no process is left that a run of it has started."""
    yield
    deadline = time.monotonic() + 15
    while left := processes_of(bench.folder):
        if time.monotonic() > deadline:
            shown = [f"{process.pid} {' '.join(process.cmdline())}" for process in left]
            for process in left:
                process.kill()
            pytest.fail(f"processes are left: {shown}")
        time.sleep(0.2)


def processes_of(folder: Path) -> list[psutil.Process]:
    """The processes with the cache of this bench in their environment, but for dead ones."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            mine = process.environ().get("SPARSEBENCH_CACHE", "").startswith(str(folder))
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


class Answer(NamedTuple):
    """Exit code and output of a command."""

    code: int
    out: str
    err: str


@pytest.fixture
def call_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Answer]:
    """Calls the command line in this process: thousands of times in the time of a few processes.

    What it does not turn into an exit code comes out as it would in a traceback.
    """
    from sparsebench.suites.runner.cli.app import main

    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> Answer:
        out, err = io.StringIO(), io.StringIO()
        code = 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), monkeypatch.context() as patch:
            patch.setattr(sys, "argv", ["sparsebench", *arguments])
            try:
                main()
            except SystemExit as stop:
                code = int(stop.code or 0)
        return Answer(code, out.getvalue(), err.getvalue())

    return call


@pytest.fixture
def plugin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package of faults, found in this process, too."""
    from sparsebench.suites.runner.discovery import registry

    monkeypatch.syspath_prepend(PLUGIN)
    for cached in (registry.entries, registry.broken_plugins):
        cached.cache_clear()
    yield
    for cached in (registry.entries, registry.broken_plugins):
        cached.cache_clear()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One line for each kind of fault, and one for all: what was lost, doubled, a traceback, silently wrong."""
    counts: list[Mapping[str, Any]] = []
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, value in getattr(report, "user_properties", ()):
                if name == "faults" and getattr(report, "when", "") == "call":
                    counts.append(value)
    if not counts:
        return
    terminalreporter.section("faults")
    for one in counts:
        numbers = ", ".join(f"{value} {name}" for name, value in one.items() if name not in ("kind", "defects"))
        terminalreporter.line(f"{one['kind']}: {numbers}")
    total = {name: sum(one.get(name, 0) for one in counts) for name in ("kills", "inputs", *BAD)}
    bad = ", ".join(f"{total[name]} {word}" for name, word in BAD.items())
    terminalreporter.line(f"in all {total['kills']} kills and {total['inputs']} mutated inputs: {bad}")


BAD = {
    "lost": "lost",
    "doubled": "doubled",
    "different": "different",
    "tracebacks": "tracebacks",
    "hangs": "hanging",
    "wrong": "silently wrong",
}
"""What must not happen, and its word in the summary."""
