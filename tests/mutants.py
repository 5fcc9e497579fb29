"""Mutants: one operator, comparison, constant or boolean of a function is changed; which tests notice?

    python -m tests.mutants out.jsonl [paths of tests]   # one line for each mutant; goes on where it stopped
    python -m tests.mutants --table out.jsonl            # killed, survivors, functions that never kill alone

One process collects the tests once (those that reach `MODULES`, where no paths are given). A forked child runs each
case and notes the lines of `MODULES` that it runs. Then a child for each mutant puts the changed code into the
functions and runs the cases that run the changed line: a few of each function, those of the module's own tests first,
then the cheapest, for `SECONDS`. Programs that a test starts run unchanged code.
"""

import ast
import collections
import contextlib
import copy
import functools
import gc
import json
import os
import random
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple

import pytest
from _pytest.runner import runtestprotocol

ROOT = Path(__file__).parents[1]
MODULES = (
    "models/moe/routing",
    "models/adapters/kinds",
    "models/compression/slimming",
    "models/compression/linear",
    "suites/runner/identity",
    "reports/statistics",
)
PROGRAMS = ("tests/faults/", "tests/test_", "tests/suites/runner/execution/", "tests/suites/runner/cli/")
"""Tests that mostly start programs, in which no mutant is."""
COUNT = 300
SEED = 29
SECONDS = 6.0
CASES_OF_ONE = 4
"""So many cases of one function are run against a mutant."""
DEAREST = 2.0
"""Cases of more CPU seconds are not run."""
LIMIT = 240.0
"""A mutant that takes more seconds of wall time is killed by its time."""
SWAPS: dict[type, type] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq},
    **{ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And},
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}


class Mutant(NamedTuple):
    """One change: the number of the node in a walk of the file, and what it is about."""

    file: str
    node: int
    line: int
    last: int
    what: str


def modules() -> list[str]:
    found: list[str] = []
    for folder in MODULES:
        found += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / folder).rglob("*.py"))]
    return found


def nodes_inside(tree: ast.AST) -> Iterator[ast.AST]:
    """Nodes of function bodies that run: no annotations, no defaults, no docstrings, no messages of errors."""
    waiting = [(tree, False)]
    while waiting:
        node, inside = waiting.pop()
        if inside:
            yield node
        if isinstance(node, ast.FunctionDef):
            waiting += [(child, True) for child in node.body]
        elif isinstance(node, ast.AnnAssign):
            waiting += [(child, inside) for child in (node.target, node.value) if child is not None]
        elif not isinstance(node, ast.Raise | ast.JoinedStr):
            waiting += [(child, inside) for child in ast.iter_child_nodes(node)]


def change(node: ast.AST) -> str | None:
    """Change the node in place; what was done, or None where there is nothing to change."""
    before = ast.unparse(node)
    if isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        node.ops[0] = SWAPS[type(node.ops[0])]()
    elif isinstance(node, ast.BinOp | ast.BoolOp | ast.AugAssign) and type(node.op) in SWAPS:
        node.op = SWAPS[type(node.op)]()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node.op = ast.UAdd()
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value += 1
    else:
        return None
    return f"{before} -> {ast.unparse(node)}"


def mutants_of(file: str) -> list[Mutant]:
    found = []
    for number, node in enumerate(nodes_inside(ast.parse((ROOT / file).read_text()))):
        what = change(copy.deepcopy(node))
        if what is not None:
            found.append(Mutant(file, number, node.lineno, node.end_lineno or node.lineno, what))
    return found


def put_in(mutant: Mutant) -> None:
    """Give every function of the file, as it is in memory, the code of the changed file."""
    tree = ast.parse((ROOT / mutant.file).read_text())
    assert change(list(nodes_inside(tree))[mutant.node]) == mutant.what, mutant
    path = str(ROOT / mutant.file)
    codes = {}
    waiting = [compile(ast.fix_missing_locations(tree), path, "exec")]
    while waiting:
        code = waiting.pop()
        codes[code.co_qualname, code.co_firstlineno] = code
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
    gc.unfreeze()  # the tier of a run has put away what collecting made
    functions = [thing for thing in gc.get_objects() if type(thing) is FunctionType]
    found = [function for function in functions if function.__code__.co_filename == path]
    assert found, f"no function of {mutant.file} is in memory"
    for function in found:
        function.__code__ = codes[function.__code__.co_qualname, function.__code__.co_firstlineno]


class Lines:
    """Notes which lines of the modules run."""

    def __init__(self) -> None:
        self._files = {str(ROOT / file): file for file in modules()}
        self._seen: set[tuple[str, int]] = set()

    @contextlib.contextmanager
    def noted(self) -> Iterator[dict[str, list[int]]]:
        lines: dict[str, list[int]] = {}
        self._seen.clear()
        self._trace(self._enter)
        try:
            yield lines
        finally:
            self._trace(None)
            for file, line in sorted(self._seen):
                lines.setdefault(file, []).append(line)

    def _trace(self, function: Any) -> None:
        sys.settrace(function)
        threading.settrace(function)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        file = self._files.get(frame.f_code.co_filename)
        if file is None:
            return None

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            self._seen.add((file, frame.f_lineno))
            return step

        return step(frame, event, argument)


class Hunt:
    """The plug-in of pytest that runs children in the place of the tests."""

    def __init__(self, out: Path) -> None:
        self._out = out

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        items[:] = [item for item in items if not item.nodeid.startswith(PROGRAMS)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        items = {item.nodeid: item for item in session.items}
        kept = self._out.with_suffix(".lines.json")
        if not kept.is_file():
            kept.write_text(json.dumps(in_child(functools.partial(trace, items), 7200) or {}))
        cases = {name: case for name, case in json.loads(kept.read_text()).items() if name in items}
        reached = [mutant for file in modules() for mutant in mutants_of(file) if chosen(mutant, cases)]
        drawn = random.Random(SEED).sample(reached, min(COUNT, len(reached)))
        done = len(self._out.read_text().splitlines()) if self._out.is_file() else 0
        with self._out.open("a", buffering=1) as results:
            for mutant in drawn[done:]:
                wanted = chosen(mutant, cases)
                failed = in_child(functools.partial(attack, mutant, [items[name] for name in wanted]), LIMIT)
                killers = ["time-out"] if failed is None else failed
                ran = sorted({name.partition("[")[0] for name in wanted})
                results.write(json.dumps({**mutant._asdict(), "ran": ran, "killers": killers}) + "\n")
        return True


def in_child(work: Callable[[], Any], limit: float) -> Any:
    """What `work` returns in a forked process group; None where it took too long or died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as pipe:
                json.dump(work(), pipe)
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    os.close(writing)
    killer = threading.Timer(limit, os.killpg, (child, signal.SIGKILL))
    killer.start()
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    killer.cancel()
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) > 0:
        raise RuntimeError("a child went wrong by itself: it says how above")
    return json.loads(text) if text else None


def trace(items: Mapping[str, pytest.Item]) -> dict[str, Any]:
    """For each case that passes and runs a line of the modules: those lines by file, and its CPU seconds."""
    lines = Lines()
    cases = {}
    ordered = list(items.values())
    for item, following in zip(ordered, [*ordered[1:], None], strict=True):
        start = time.process_time()
        with lines.noted() as seen:
            passed = passes(item, following)
        if seen and passed:
            cases[item.nodeid] = {"seconds": round(time.process_time() - start, 3), "lines": seen}
    return cases


def attack(mutant: Mutant, items: list[pytest.Item]) -> list[str]:
    """The functions that fail with the mutant in the place of the code."""
    put_in(mutant)
    failed = set()
    for item, following in zip(items, [*items[1:], None], strict=True):
        if not passes(item, following):
            failed.add(item.nodeid.partition("[")[0])
    return sorted(failed)


def passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    return not any(report.failed for report in runtestprotocol(item, log=False, nextitem=following))


def chosen(mutant: Mutant, cases: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The cases to run: of each function a few that run a line of the changed expression, for `SECONDS`."""
    span = set(range(mutant.line, mutant.last + 1))
    twin = str(Path("tests") / Path(mutant.file).parent / f"test_{Path(mutant.file).stem.lstrip('_')}.py")
    reaching: dict[str, list[str]] = {}
    for name, case in cases.items():
        if span & set(case["lines"].get(mutant.file, ())) and case["seconds"] < DEAREST:
            reaching.setdefault(name.partition("[")[0], []).append(name)
    few = []
    for names in reaching.values():
        few += names[:: -(-len(names) // CASES_OF_ONE)]
    few.sort(key=lambda name: (not name.startswith(twin), cases[name]["seconds"]))
    wanted, total = [], 0.0
    for name in few:
        total += cases[name]["seconds"]
        if total > SECONDS and wanted:
            break
        wanted.append(name)
    return sorted(wanted, key=list(cases).index)  # in the order of the tree, in which fixtures of a file are shared


def table(out: Path) -> Iterator[str]:
    results = [json.loads(line) for line in out.read_text().splitlines()]
    yield "| room | mutants | killed | by one function | by 2 to 5 | by more | by its time | survivors |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for room in (*MODULES, ""):
        here = [result for result in results if result["file"].startswith(room)]
        counts = collections.Counter(kind(result["killers"]) for result in here)
        if here:
            cells = [
                len(here),
                len(here) - counts["none"],
                *(counts[name] for name in ("1", "5", "more", "time", "none")),
            ]
            yield f"| {room or 'sum'} | {' | '.join(map(str, cells))} |"
    yield "\nSurvivors:\n"
    for result in results:
        if not result["killers"]:
            yield f"- `{result['file']}:{result['line']}`: `{result['what']}` ({len(result['ran'])} functions ran)"
    yield "\nFunctions whose kills always lie inside those of one other (kills; the other and its kills):\n"
    kills: dict[str, set[int]] = {}
    for number, result in enumerate(results):
        for name in result["killers"]:
            kills.setdefault(name, set()).add(number)
    for name, own in sorted(kills.items()):
        others = [other for other, theirs in kills.items() if other != name and own <= theirs]
        if others:
            widest = max(others, key=lambda other: len(kills[other]))
            yield f"- `{name}` ({len(own)}): `{widest}` ({len(kills[widest])})"


def kind(killers: list[str]) -> str:
    if killers == ["time-out"]:
        return "time"
    if not killers:
        return "none"
    return "1" if len(killers) == 1 else "5" if len(killers) <= 5 else "more"


def main(arguments: list[str]) -> None:
    if arguments[0] == "--table":
        sys.stdout.write("\n".join(table(Path(arguments[1]))) + "\n")
        return
    paths = arguments[1:]
    if not paths:
        from .tiers.reach import Reach

        paths = [file for file in sorted(Reach(ROOT).touched(modules())) if not file.startswith(PROGRAMS)]
    pytest.main([*paths, "-q", "-p", "no:xdist", "--rootdir", str(ROOT)], plugins=[Hunt(Path(arguments[0]).absolute())])


if __name__ == "__main__":
    main(sys.argv[1:])
