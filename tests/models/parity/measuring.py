"""Runs the tests of the rows, and keeps what they compared."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest

from ..agreement import Figure, figures
from .rows import Row


class Measured(NamedTuple):
    """What the tests of a row gave: of each kind the comparison that is beyond what is allowed, or else whose
    difference is the largest beside what was expected; why tests were left out, and which failed, each with a line."""

    figures: dict[str, Figure]
    skipped: dict[str, str]
    failed: dict[str, str]

    def problems(self, row: Row) -> list[str]:
        """What must not be, a line each."""
        found = [f"{test} fails: {reason}" for test, reason in self.failed.items()]
        found += [f"{what}: {figure}" for what, figure in self.figures.items() if not figure.holds]
        expected = set(row.compared) & self.figures.keys() if self.skipped else set(row.compared)
        if self.figures.keys() != expected:
            found.append(f"compares {sorted(self.figures)}, not {sorted(row.compared)}")
        return found


class Listener:
    """A plugin of pytest that runs nothing but the tests of some rows, and listens to what they compare."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self._rows = rows
        self.ran: set[str] = set()
        self.heard: dict[str, list[Figure]] = {}
        self.skipped: dict[str, str] = {}
        self.failed: dict[str, str] = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if any(row.has(item.nodeid) for row in self._rows)]
        self.ran = {item.nodeid for item in items}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        with figures() as heard:
            self.heard[item.nodeid] = heard
            return (yield)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._take(report)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._take(report)

    def _take(self, report: Any) -> None:
        if report.skipped:
            self.skipped[report.nodeid] = report.longrepr[2].removeprefix("Skipped: ").partition("\n")[0]
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            self.failed[report.nodeid] = str(crash.message if crash else report.longrepr).partition("\n")[0]

    def of(self, row: Row) -> Measured:
        """What was heard from the tests of a row; one that is not there has failed."""
        worst: dict[str, Figure] = {}
        for nodeid, heard in self.heard.items():
            for figure in heard if row.has(nodeid) else ():
                worst[figure.what] = max(worst.get(figure.what, figure), figure, key=severity)
        skipped = {nodeid: reason for nodeid, reason in self.skipped.items() if row.has(nodeid)}
        failed = {nodeid: reason for nodeid, reason in self.failed.items() if row.has(nodeid)}
        for test in row.tests:
            there = any(test in (nodeid, nodeid.partition("[")[0]) for nodeid in self.ran)
            if not there and test.partition("::")[0] not in (*self.skipped, *self.failed):
                failed[test] = "there is no such test"
        return Measured(worst, skipped, failed)


def severity(figure: Figure) -> tuple[bool, float]:
    return not figure.holds, figure.relative


def measure(rows: Sequence[Row]) -> list[Measured]:
    """One run of pytest in this process, where other packages with plugins for it may be imported already."""
    listener = Listener(rows)
    files = dict.fromkeys(test.partition("::")[0] for row in rows for test in row.tests)
    options = ["-q", "--no-header", "-p", "no:xdist", "-W", "ignore::pytest.PytestAssertRewriteWarning"]
    pytest.main([*options, *files], plugins=[listener])
    return [listener.of(row) for row in rows]
