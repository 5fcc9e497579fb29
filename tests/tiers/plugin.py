"""`pytest --tier ...`: runs a part of the functions, says which, and measures what they cost.

Tiers act where no path, `-k` or `-m` is given: what is named is run. With xdist the controller chooses once, without
importing tests; workers are told what is left out, and do not import files of which nothing is left.
"""

import collections
import gc
import resource
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from . import changes
from .costs import ROOT, Costs, function_of, functions
from .selection import Choice, for_quick_test, for_test

TIERS = {
    "quick": "what the working tree touches",
    "test": "cheap functions, what the change touches, and a third of the dear ones that the commit chooses",
    "new": "functions without a cost, which are measured",
    "long": "everything, measured",
}
MEASURED = ("new", "long")
SHOWN = 10


class Tier:
    """The plug-in of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self._name: str | None = config.getoption("--tier")
        self._costs = Costs()
        self._choice: Choice | None = None
        self._note = ""
        self._measured: dict[str, float] = {}
        self._waiting: collections.Counter[str] = collections.Counter()
        self._collection: float | None = None
        workerinput = getattr(config, "workerinput", None)
        if workerinput is not None:
            self._left_out = set(workerinput["left_out"])
        else:
            self._left_out = self._choose() if self._acts(config) else set()
        self._left_files = self._files_left_out()

    def _acts(self, config: pytest.Config) -> bool:
        named = config.args_source == pytest.Config.ArgsSource.ARGS
        return self._name is not None and not (named or config.option.keyword or config.option.markexpr)

    def _choose(self) -> set[str]:
        """The functions that this tier leaves out."""
        everything = functions()
        if self._name == "new":
            return set(everything) & set(self._costs.known)
        if self._name == "long":
            return set()
        commit = changes.commit(ROOT)
        start = "HEAD" if self._name == "quick" else changes.base(ROOT)
        touched = _touched(everything, changes.changed_since(ROOT, start))
        if self._name == "quick":
            self._choice = for_quick_test(self._costs, touched)
        else:
            self._choice = for_test(everything, self._costs, commit, touched)
        self._note = f"commit {commit[:10]}, changes since {(start or 'ever')[:10]}"
        return set(everything) - self._choice.functions

    def _files_left_out(self) -> set[Path]:
        if not self._left_out:
            return set()
        left = {name.partition("::")[0] for name in self._left_out}
        kept = {name.partition("::")[0] for name in functions() if name not in self._left_out}
        return {ROOT / file for file in left - kept}

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Of xdist: what a worker is told as it starts."""
        node.workerinput["left_out"] = sorted(self._left_out)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """Collecting makes many objects that live to the end: looking for garbage among them is a fifth of its time."""
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if collection_path in self._left_files else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what the tier leaves out; the dearest files come first, so that no worker ends alone."""
        left = [item for item in items if function_of(item.nodeid) in self._left_out]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if function_of(item.nodeid) not in self._left_out]
        files: dict[str, float] = {}
        for name in {function_of(item.nodeid) for item in items}:
            file = name.partition("::")[0]
            files[file] = files.get(file, 0.0) + self._costs.of(name)
        items.sort(key=lambda item: -files[item.nodeid.partition("::")[0]])

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._collection = cpu_seconds()
        self._expect(item.nodeid for item in session.items)
        if hasattr(session.config, "workeroutput"):
            session.config.workeroutput["collection"] = self._collection

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        self._expect(ids)

    def _expect(self, nodeids: Iterable[str]) -> None:
        self._waiting = collections.Counter(map(function_of, nodeids))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        item.stash[STARTED] = cpu_seconds()
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
        """The last report of a case carries what it cost, from a worker to the controller too."""
        report = yield
        if call.when == "teardown":
            report.cpu_seconds = cpu_seconds() - item.stash[STARTED]
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown" and hasattr(report, "cpu_seconds"):
            name = function_of(report.nodeid)
            self._measured[name] = self._measured.get(name, 0.0) + report.cpu_seconds
            self._waiting[name] -= 1

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        self._collection = getattr(node, "workeroutput", {}).get("collection", self._collection)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(session.config, "workerinput"):
            return
        if self._name is not None and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK
        if self._name in MEASURED and self._acts(session.config):
            whole = {name: seconds for name, seconds in self._measured.items() if self._waiting[name] == 0}
            self._costs.update(whole, self._collection if self._name == "long" else None)
            self._costs.write()

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        for line in self._summary():
            terminalreporter.write_line(line)

    def _summary(self) -> Iterator[str]:
        choice = self._choice
        if choice is None:
            return
        yield (
            f"tier {self._name} ({self._note}): {len(choice.cheap)} cheap functions, "
            f"{len(choice.by_commit)} dear ones by the commit, {len(choice.touched)} more that the change touches; "
            f"reckoned {choice.seconds / 60:.1f} CPU minutes"
        )
        if choice.left:
            names = ", ".join(choice.left[:SHOWN])
            more = f" and {len(choice.left) - SHOWN} more" if len(choice.left) > SHOWN else ""
            yield f"left to `make test-long`: {len(choice.left)} touched functions, {names}{more}"


STARTED = pytest.StashKey[float]()


def cpu_seconds() -> float:
    """CPU seconds of this process and of the programs that it has waited for."""
    used = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
    return sum(part.ru_utime + part.ru_stime for part in used)


def _touched(everything: list[str], changed: list[str]) -> set[str]:
    """The functions of the files that reach a change."""
    if not changed:
        return set()
    from .reach import Reach  # imports the package, which most runs of pytest do not need here

    files = Reach(ROOT).touched(changed)
    return {name for name in everything if name.partition("::")[0] in files}
