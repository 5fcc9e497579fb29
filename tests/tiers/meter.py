"""Measures what functions cost while they run, in workers too; the costs file is written, or what is off is said."""

import collections
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from .costs import SHARED, Costs, function_of, functions
from .imports import Imports, cpu_seconds

STARTED = pytest.StashKey[float]()
DEARER = 2.0
"""A figure is off where a function takes so many times as much, and `EXCESS` more."""
EXCESS = 1.0
SHOWN = 40


class Meter:
    """The plug-in of a run that measures.

    Args:
        costs: the costs file.
        whole: whether the run collects everything, so that collecting is measured too.
        writes: whether the end of the run writes the file.
    """

    def __init__(self, costs: Costs, *, whole: bool = False, writes: bool = True) -> None:
        self._costs = costs
        self._whole = whole
        self._writes = writes
        self._measured: dict[str, float] = {}
        self._waiting: collections.Counter[str] = collections.Counter()
        self._collection: float | None = None
        self._skipped: set[str] = set()
        self._shared: dict[str, float] = {}
        self._fixtures: dict[tuple[str, str, int], float] = {}
        """What fixtures of more than one function took in this process: by where they hold, name and parameter."""
        self._paid = 0.0
        self._imports = Imports()
        self._first: dict[str, str] = {}
        """The function of each file that ran first in this process."""
        self._firsts: set[str] = set()
        """Functions that were such in some process."""

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A file that cannot be imported here, for a library that is not installed, costs nothing here."""
        if report.skipped:
            self._skipped.add(report.nodeid)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collection = cpu_seconds()
        self._expect(item.nodeid for item in session.items)
        self._imports.start()
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["skipped"] = sorted(self._skipped)

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._expect(ids)

    def _expect(self, nodeids: Iterable[str]) -> None:
        self._waiting = collections.Counter(map(function_of, nodeids))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        item.stash[STARTED] = self._own_seconds()
        self._first.setdefault(_file_of(item.nodeid), function_of(item.nodeid))
        self._paid = 0.0
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: pytest.FixtureDef[Any], request: pytest.FixtureRequest) -> Iterator[Any]:
        """What others use too is not the own cost of the function that happens to be first."""
        start = self._own_seconds()
        try:
            return (yield)
        finally:
            if fixturedef.scope != "function":
                seconds = self._own_seconds() - start
                self._fixtures[fixturedef.baseid, fixturedef.argname, request.param_index] = seconds
                self._paid += seconds

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
        """The last report of a case carries what it cost, from a worker to the controller too."""
        report = yield
        if call.when == "teardown":
            report.cpu_seconds = self._own_seconds() - item.stash[STARTED] - self._paid
            report.shared_seconds = self._needed(item)
            report.is_first = self._first[_file_of(item.nodeid)] == function_of(item.nodeid)
        return report

    def _own_seconds(self) -> float:
        """All but imports, which belong to the process and count as collecting."""
        return cpu_seconds() - self._imports.seconds

    def _needed(self, item: pytest.Item) -> float:
        """What the shared fixtures took that a case needs."""
        names = getattr(item, "fixturenames", ())
        found = self._fixtures.items()
        return sum(seconds for (base, name, _), seconds in found if name in names and item.nodeid.startswith(base))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" and hasattr(report, "cpu_seconds"):
            name = function_of(report.nodeid)
            self._measured[name] = self._measured.get(name, 0.0) + report.cpu_seconds
            self._shared[name] = max(self._shared.get(name, 0.0), report.shared_seconds)
            self._waiting[name] -= 1
            if report.is_first:
                self._firsts.add(name)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        output = getattr(node, "workeroutput", {})
        self._collection = output.get("collection", self._collection)
        self._skipped.update(output.get("skipped", ()))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the costs of functions all of whose cases have run, where the run was broken off too."""
        self._imports.stop()
        if self._collection is not None:
            self._collection += self._imports.seconds
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["collection"] = self._collection
        if not self._writes or hasattr(session.config, "workerinput") or session.config.option.collectonly:
            return
        done = {name: seconds for name, seconds in self._measured.items() if self._waiting[name] == 0}
        new = set(functions()) - set(self._costs.known) - set(done)
        done |= {name: 0.0 for name in new if name.partition("::")[0] in self._skipped}
        self._costs.update(done, self._shared, self._collection if self._whole else None)
        self._costs.write()

    def said(self) -> Iterator[str]:
        """What the functions took, and where that is far above what they are reckoned at.

        What a module or the package keeps in memory (`functools.cache`) is paid by the first who asks: those who were
        the first of a file come last, and how many they are is said.
        """
        taken = Costs(Path())
        taken.known = self._measured
        taken.shared = {name: seconds for name, seconds in self._shared.items() if seconds >= SHARED}
        more = {name: taken.of(name) - self._costs.of(name) for name in self._measured}
        off = [name for name in more if taken.of(name) > DEARER * self._costs.of(name) and more[name] > EXCESS]
        off.sort(key=lambda name: (name in self._firsts, -more[name]))
        yield f"functions took {taken.together(self._measured) / 60:.1f} CPU minutes, without their imports"
        if off:
            listed = [f"{name} {self._costs.of(name):.2g} s, took {taken.of(name):.2g}" for name in off[:SHOWN]]
            firsts = sum(name in self._firsts for name in off)
            last = (
                f"; the last {firsts} ran first of their file, which may have paid for the rest of it" if firsts else ""
            )
            yield f"{len(off)} figures of tests/costs.json are far too low: {', '.join(listed)}{last}"


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]
