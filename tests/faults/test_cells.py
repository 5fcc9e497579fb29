"""Cells that misbehave: each has a record that says how it ended, and no other cell notices anything."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Record

from .draws import refusal

ENDS = {
    "fork_and_return": None,
    "fork_and_stay": None,
    "start_and_leave": None,
    "change_folder": None,
    "noise": None,
    "close_output": None,
    "hold_the_interpreter": ("timeout", "ran longer than 6 s"),
    "hang": ("timeout", "ran longer than 6 s"),
    "stop": ("timeout", "ran longer than 6 s"),
    "exit_hard": ("failed", "exit code 7"),
    "die_of_real_time_signal": ("failed", r"signal 40|SIGRTMIN\+6"),
    "die_of_kill": ("failed", "SIGKILL"),
    "segmentation_fault": ("failed", "SIGSEGV"),
    "system_exit": ("failed", r"^SystemExit: usage: train \[-h\] --data DATA$"),
    "interrupt": ("failed", r"^KeyboardInterrupt: somebody \[else\] wants to stop$"),
    "brackets": ("failed", r"^OSError: cannot open \[/data/x.csv\] \(faults.py:\d+\)$"),
    "half_a_character": ("failed", r"^ValueError: name \\udce9 of a file \(faults.py:\d+\)$"),
    "mute": ("failed", "^MuteError: its text cannot be had"),
    "recursion": ("failed", "^RecursionError: maximum recursion depth exceeded"),
}
"""Faults, and the status and reason of their records; None where the cell itself comes to a score."""
HANGS = ("hold_the_interpreter", "hang", "stop")
OTHERS = tuple(name for name in ENDS if name not in HANGS)
STATE = {
    "dtype": "torch.float32",
    "grad": True,
    "threads": 1,
    "deterministic": False,
    "python threads": [],
    "children": [],
    "warnings are errors": 0,
}
"""The state of its process that a cell must find."""


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Record], str, float]:
    """All faults, each but those that hang before a cell that behaves: records, output and seconds."""
    from .conftest import Bench

    bench = Bench(tmp_path_factory.mktemp("cells"))
    rows: list[object] = ["nothing"]
    for index, name in enumerate(OTHERS, start=1):  # rows that are equal but for their labels would be one cell
        rows += [name, {"name": "misbehave", "label": f"after {name}", "config": {"nap": index / 1000}}]
    start = time.monotonic()
    plans = {1: bench.profile(rows, timeout=120), 3: bench.profile(HANGS, timeout=6, name="hangs")}
    output = ""
    records: dict[str, Record] = {}
    for workers, profile in plans.items():
        out = bench.folder / f"out {workers}"
        done = bench.call(*bench.run_arguments(profile, out, workers), timeout=280)
        assert done.returncode == 1, done.stdout + done.stderr
        assert "Traceback" not in done.stdout + done.stderr
        output += done.stdout
        records |= bench.records(out)
    return records, output, time.monotonic() - start


@pytest.mark.parametrize("name", ENDS)
def test_the_record_says_how_it_ended(name: str, ran: tuple[Mapping[str, Record], str, float]) -> None:
    record = ran[0][f"{name} 0"]
    expected = ENDS[name]
    if expected is None:  # what it leaves behind does not change its own score either
        assert (record.status, record.reason, record.metrics) == ("ok", None, ran[0]["nothing 0"].metrics)
        return
    status, reason = expected
    assert record.status == status
    assert re.search(reason, record.reason or ""), record.reason
    assert (record.reason or "") in " ".join(ran[1].split())


def test_no_cell_notices_another(ran: tuple[Mapping[str, Record], str, float]) -> None:
    records = ran[0]
    assert len(records) == 2 * len(OTHERS) + len(HANGS) + 1
    reference = records["nothing 0"]
    folder = reference.details["state"]["folder"]
    for name in OTHERS:
        after = records[f"after {name} 0"]
        assert after.status == "ok", (name, after.reason)
        assert after.metrics == reference.metrics, name
        assert after.details["state"] == STATE | {"folder": folder}, name


def test_what_a_broken_package_brings_is_named_and_the_rest_is_listed(bench, tmp_path: Path) -> None:
    listed = bench.call("list", "--suite", "molecules")
    assert listed.returncode == 0
    assert "misbehave" in listed.stdout
    assert "the method 'gone' of faulty (faulty.gone) cannot be used: there is no such module" in listed.stdout
    profile = bench.profile(["nothing", {"name": "broken_import"}])
    planned = bench.call("plan", "--profile", profile, "--out", str(tmp_path / "out"))
    assert planned.returncode == 2
    assert "faulty.broken_import cannot be imported: ImportError: a library [of nobody] is missing" in planned.stderr
    assert refusal(planned.stderr)
