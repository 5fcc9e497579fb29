"""What `make bench` takes, reckoned by what its cells and speed runs took last: a total that grows has to be noticed.

Seconds are those of the committed records, which one thread each made, two at a time, on an idle machine. One machine
was seen to take a third longer from one day to the next, so they count in the pace of a cell among them whose work is
always the same. A row that was never run has no known cost: run the profile and commit its records with the row.
"""

import json
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.planning.durations import Durations, kin
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import load_profile

QUICK = Path(__file__).parents[3] / "reports" / "results" / "quick"
CELLS = 22 * 60
"""Core seconds of all cells of the profile quick: eleven minutes on two cores."""
SPEED = 3.5 * 60
"""Seconds of the speed runs, which have the machine for themselves. With what is between them: 15 minutes."""
PACE = ("bpb_three_domains", "dense", 24.3)
"""Task and row of the cell that the pace is taken by, and the seconds that it takes where the totals are meant."""


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [record for record in Store(QUICK).read_all()[0] if record.status == "ok"]


@pytest.fixture(scope="module")
def pace(records: list[Record]) -> float:
    """How many times as long as meant the machine took."""
    task, label, seconds = PACE
    (taken,) = (record.times["total"] for record in records if (record.cell.task, record.cell.label) == (task, label))
    return taken / seconds


def test_the_cells_of_quick_stay_within_their_budget(records: list[Record], pace: float) -> None:
    durations = Durations()
    for record in records:
        durations.add(record.cell, record.times["total"])
    reckoned = 0.0
    for cell in cells_of(load_profile("quick")):
        if cell.reason is not None:
            continue
        known = durations.mean(kin(cell.info)[0])
        assert known is not None, f"{cell.info.task} {cell.info.label} has no record that says what it costs"
        reckoned += known
    reckoned /= pace
    assert reckoned <= CELLS, f"the cells of quick take {reckoned:.0f} core seconds: make some cheaper or leave some"


def test_the_speed_runs_stay_within_their_budget(pace: float) -> None:
    seconds = json.loads((QUICK / "speed.json").read_bytes())["seconds"] / pace
    assert seconds <= SPEED, f"the speed runs take {seconds:.0f} s: make some cheaper, or take some out"
