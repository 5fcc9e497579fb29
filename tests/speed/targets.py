"""What speed runs want to reach. It is written down and marked on the page, and fails a test only when asked for.

A ratio depends on the processor and on what else runs, so that a figure which is not reached is a finding and no error:
`sparsebench speed` and `make bench` go on, `sparsebench speed --check`, which sets a variable, fails.
"""

import operator
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import pytest

CHECKED = os.environ.get("SPARSEBENCH_SPEED_CHECK") == "1"


@dataclass(frozen=True, kw_only=True)
class Target:
    """One figure of a test and what is wanted of it."""

    test: str
    what: str
    reached: float
    wanted: float
    at_most: bool
    """Whether `wanted` is the largest figure that will do, not the smallest."""
    excuse: str | None
    """Why it may be missed here, say that the run is at its floor; None if nothing excuses it."""

    @property
    def met(self) -> bool:
        """Whether the figure is as wanted."""
        holds = operator.le if self.at_most else operator.ge
        return holds(self.reached, self.wanted)


class SpeedNotes:
    """A plugin of pytest that writes targets, and tests and files that failed, into the JSON of pytest-benchmark."""

    def __init__(self) -> None:
        self.start = time.monotonic()
        self.targets: list[Target] = []
        self.failed: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_benchmark_update_json(self, output_json: dict[str, Any]) -> None:
        output_json["targets"] = [{**asdict(target), "met": target.met} for target in self.targets]
        output_json["failed"] = self.failed
        output_json["seconds"] = time.monotonic() - self.start


NOTES = pytest.StashKey[SpeedNotes]()


def register(config: pytest.Config) -> None:
    """Collect targets in this run."""
    notes = SpeedNotes()
    config.stash[NOTES] = notes
    config.pluginmanager.register(notes)


@pytest.fixture
def target(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`target("times as fast as the peer", ratio, at_least=1.5)`, or `at_most=`; `excuse` says why it may be missed."""
    notes = request.config.stash[NOTES]

    def target(
        what: str,
        reached: float,
        *,
        at_least: float | None = None,
        at_most: float | None = None,
        excuse: str | None = None,
    ) -> None:
        wanted = at_least if at_most is None else at_most
        assert wanted is not None, "a target has one of at_least and at_most"
        found = Target(
            test=request.node.nodeid,
            what=what,
            reached=reached,
            wanted=wanted,
            at_most=at_most is not None,
            excuse=excuse,
        )
        notes.targets.append(found)
        if CHECKED and not found.met and excuse is None:
            pytest.fail(f"{what}: {reached:.3g}, wanted {wanted:.3g} at the {'most' if found.at_most else 'least'}")

    return target
