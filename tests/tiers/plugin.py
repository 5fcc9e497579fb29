"""`pytest --tier ...`: runs a part of the functions and says which.

Tiers act where no path, `-k` or `-m` is given: what is named is run. With xdist the controller chooses once, without
importing tests; workers are told what is left out, and do not import files of which nothing is left.
"""

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from . import changes
from .costs import ROOT, Costs, function_of, functions
from .meter import Meter
from .selection import Choice, for_quick_test, for_test

TIERS = {
    "quick": "what the working tree touches",
    "test": "cheap functions, what the change touches, and a sixteenth of the dear ones that the commit chooses",
    "new": "functions without a cost, which are measured",
    "long": "everything, measured",
}
WRITTEN = ("new", "long")
"""What writes the costs that it measures."""
SHOWN = 10


class Tier:
    """The plug-in of one run."""

    def __init__(self, config: pytest.Config) -> None:
        self._name: str | None = config.getoption("--tier")
        self._costs = Costs()
        self._choice: Choice | None = None
        self._note = ""
        self._left_out: set[str] = set()
        self._left_files: set[Path] = set()
        workerinput = getattr(config, "workerinput", None)
        if workerinput is not None:
            self._acts: bool = workerinput["tier_acts"]
            self._left_out = set(workerinput["left_out"])
            self._left_files = set(map(Path, workerinput["left_files"]))
        else:
            self._acts = self._name is not None and not _named(config)
            if self._acts:
                everything = functions()
                self._left_out = set(everything) - self._chosen(everything)
                self._left_files = _files(self._left_out) - _files(set(everything) - self._left_out)
        self._meter: Meter | None = None
        if self._acts and self._name in (*WRITTEN, "test"):
            self._meter = Meter(self._costs, whole=self._name == "long", writes=self._name in WRITTEN)
            config.pluginmanager.register(self._meter)

    def _chosen(self, everything: list[str]) -> set[str]:
        """The functions that this tier runs."""
        if self._name == "new":
            return set(everything) - set(self._costs.known)
        if self._name == "long":
            return set(everything)
        if self._name == "quick" and changes.git(ROOT, "rev-parse", "HEAD") is None:
            raise pytest.UsageError("--tier quick needs a git repository: run the tests by their paths")
        commit = changes.commit(ROOT)
        start = "HEAD" if self._name == "quick" else changes.base(ROOT)
        touched = _touched(everything, changes.changed_since(ROOT, start))
        if self._name == "quick":
            self._choice = for_quick_test(self._costs, touched)
        else:
            self._choice = for_test(everything, self._costs, commit, touched)
        self._note = f"commit {commit[:10]}, changes since {(start or 'ever')[:10]}"
        return self._choice.functions

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        """Of xdist: what a worker is told as it starts."""
        node.workerinput["tier_acts"] = self._acts
        node.workerinput["left_out"] = sorted(self._left_out)
        node.workerinput["left_files"] = sorted(map(str, self._left_files))

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        """What collecting makes lives to the end: nobody needs to look for garbage among it, then or later."""
        gc.disable()
        try:
            return (yield)
        finally:
            gc.freeze()
            gc.enable()

    def pytest_ignore_collect(self, collection_path: Path) -> bool | None:
        return True if collection_path in self._left_files else None

    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """Leave out what the tier leaves out; the dearest files come first, so that no worker ends alone.

        Sums of floats depend on their order, which has to be that of every worker: hence no set.
        """
        left = [item for item in items if function_of(item.nodeid) in self._left_out]
        if left:
            config.hook.pytest_deselected(items=left)
            items[:] = [item for item in items if function_of(item.nodeid) not in self._left_out]
        files: dict[str, float] = {}
        for name in dict.fromkeys(function_of(item.nodeid) for item in items):
            file = name.partition("::")[0]
            files[file] = files.get(file, 0.0) + self._costs.of(name)
        items.sort(key=lambda item: -files[item.nodeid.partition("::")[0]])

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if self._name is not None and exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED:
            session.exitstatus = pytest.ExitCode.OK

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
        if self._meter is not None:
            yield from self._meter.said()
        if choice.left:
            names = ", ".join(choice.left[:SHOWN])
            more = f" and {len(choice.left) - SHOWN} more" if len(choice.left) > SHOWN else ""
            yield f"left to `make test-long`: {len(choice.left)} touched functions, {names}{more}"


def _named(config: pytest.Config) -> bool:
    """Whether somebody has said which tests to run."""
    paths = config.args_source == pytest.Config.ArgsSource.ARGS
    return paths or bool(config.option.keyword or config.option.markexpr)


def _files(names: set[str]) -> set[Path]:
    """The files that functions stand in."""
    return {ROOT / name.partition("::")[0] for name in names}


def _touched(everything: list[str], changed: list[str]) -> set[str]:
    """The functions of the files that reach a change."""
    if not changed:
        return set()
    from .reach import Reach  # imports the package, which most runs of pytest do not need here

    files = Reach(ROOT).touched(changed)
    return {name for name in everything if name.partition("::")[0] in files}
