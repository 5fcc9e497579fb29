"""Mutants: one operator, comparison, constant or boolean of a function is changed; which tests notice?

    python -m tests.mutants trace lines.json          # once: which cases run which lines of MODULES
    python -m tests.mutants run lines.json out.jsonl  # one line for each mutant, goes on where it stopped
    python -m tests.mutants table out.jsonl           # killed, survivors, and functions that never kill alone

The parent imports the libraries once and forks a child for each mutant. A child runs the cases that were seen to run the
changed line: the module's own tests first, then the cheapest, up to `SECONDS`. Programs that a test starts run unchanged code.
"""

import ast
import collections
import copy
import importlib
import importlib.machinery
import importlib.util
import json
import os
import random
import signal
import sys
import threading
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
MODULES = (
    "models/moe/routing",
    "models/adapters/kinds",
    "models/compression/slimming",
    "models/compression/linear_maps",
)
MODULES += ("suites/runner/identity", "reports/statistics")
PROGRAMS = (
    "tests/faults/",
    "tests/speed/",
    "tests/test_",
    "tests/suites/runner/execution/",
    "tests/suites/runner/cli/",
)
"""Tests that mostly start programs, in which no mutant is."""
LIBRARIES = (
    "torch",
    "torchvision",
    "transformers",
    "timm",
    "rdkit.Chem",
    "torch_geometric.data",
    "pandas",
    "scipy.stats",
)
LIBRARIES += (
    "peft",
    "sklearn.linear_model",
    "datasets",
    "matplotlib.pyplot",
    "statsmodels.api",
    "hypothesis",
    "accelerate",
)
COUNT = 300
SEED = 29
SECONDS = 8.0
CASES_OF_ONE = 6
DEAREST = 2.0
LIMIT = 90.0
LOG = Path(tempfile.gettempdir()) / f"mutants-{os.getpid()}.log"
"""What the last child printed."""
SWAPS: dict[type, type] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip


class Mutant(NamedTuple):
    """One change: the number of the node in a walk of the file, and what it is about."""

    file: str
    node: int
    line: int
    last: int
    what: str


def functions_inside(tree: ast.AST) -> Iterator[ast.AST]:
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
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        node.op = ast.UAdd() if isinstance(node.op, ast.USub) else ast.Not()
        if isinstance(node.op, ast.Not):
            node.operand = ast.UnaryOp(ast.Not(), node.operand)
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
        node.value = not node.value
    elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        node.value += 1
    else:
        return None
    return f"{before} -> {ast.unparse(node)}"


def mutants_of(file: str) -> list[Mutant]:
    tree = ast.parse((ROOT / file).read_text())
    found = []
    for number, node in enumerate(functions_inside(tree)):
        what = change(copy.deepcopy(node))
        if what is not None:
            found.append(Mutant(file, number, node.lineno, node.end_lineno or node.lineno, what))
    return found


def mutated(mutant: Mutant) -> ast.Module:
    tree = ast.parse((ROOT / mutant.file).read_text())
    nodes = list(functions_inside(tree))
    assert change(nodes[mutant.node]) == mutant.what, mutant
    return ast.fix_missing_locations(tree)


class Loader(importlib.machinery.SourceFileLoader):
    """Runs the changed tree in the place of the file; also finds it, before all other finders."""

    def __init__(self, mutant: Mutant) -> None:
        name = ".".join(("sparsebench", *Path(mutant.file).with_suffix("").parts)).removesuffix(".__init__")
        super().__init__(name, str(ROOT / mutant.file))
        self._tree = mutated(mutant)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)

    def get_code(self, fullname: str) -> Any:
        return compile(self._tree, self.path, "exec")


class Watch:
    """A plug-in of pytest: runs the wanted cases (all, if None), says which failed, what each cost and which lines it ran."""

    def __init__(self, wanted: set[str] | None, *, trace: bool = False) -> None:
        self._wanted = wanted
        self._files = {str(ROOT / file): file for file in modules()} if trace else {}
        self.failed: set[str] = set()
        self.cases: dict[str, dict[str, Any]] = {}
        self._lines: set[tuple[str, int]] = set()

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        if self._wanted is not None:
            items[:] = [item for item in items if item.nodeid in self._wanted]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.failed.add("import")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(report.nodeid)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._lines.clear()
        start = time.process_time()
        self._trace(self._enter if self._files else None)
        try:
            return (yield)
        finally:
            self._trace(None)
            lines: dict[str, list[int]] = {}
            for file, line in sorted(self._lines):
                lines.setdefault(file, []).append(line)
            self.cases[item.nodeid] = {"seconds": round(time.process_time() - start, 3), "lines": lines}

    def _trace(self, function: Any) -> None:
        sys.settrace(function)
        threading.settrace(function)

    def _enter(self, frame: FrameType, event: str, argument: Any) -> Any:
        file = self._files.get(frame.f_code.co_filename)
        if file is None:
            return None

        def step(frame: FrameType, event: str, argument: Any) -> Any:
            self._lines.add((file, frame.f_lineno))
            return step

        return step(frame, event, argument)


def modules() -> list[str]:
    found: list[str] = []
    for folder in MODULES:
        found += [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / folder).rglob("*.py"))]
    return found


def in_child(work: Callable[[], Any], limit: float) -> Any:
    """What `work` returns in a forked process group; None where it took too long or died."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.setsid()
        log = os.open(LOG, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        os.close(reading)
        try:
            with os.fdopen(writing, "w") as pipe:
                json.dump(work(), pipe)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(0)
    os.close(writing)
    killer = threading.Timer(limit, os.killpg, (child, signal.SIGKILL))
    killer.start()
    with os.fdopen(reading) as pipe:
        text = pipe.read()
    killer.cancel()
    os.waitpid(child, 0)
    return json.loads(text) if text else None


def pytest_with(watch: Watch, files: list[str]) -> Watch:
    pytest.main([*files, "-q", "-p", "no:xdist", "--timeout=30", "--rootdir", str(ROOT)], plugins=[watch])
    return watch


def trace(out: Path) -> None:
    from .tiers.reach import Reach

    files = [file for file in sorted(Reach(ROOT).touched(modules())) if not file.startswith(PROGRAMS)]

    def work() -> Any:
        watch = pytest_with(Watch(None, trace=True), files)
        return {name: case for name, case in watch.cases.items() if case["lines"] and name not in watch.failed}

    out.write_text(json.dumps(in_child(work, 7200), indent=0))


def chosen(mutant: Mutant, cases: dict[str, dict[str, Any]]) -> set[str]:
    """The cases to run: those that run a line of the changed expression, a few of each function, up to the time allowed."""
    span = set(range(mutant.line, mutant.last + 1))
    twin = str(Path("tests") / Path(mutant.file).parent / f"test_{Path(mutant.file).stem.lstrip('_')}.py")
    reaching: dict[str, list[str]] = {}
    for name, case in cases.items():
        if span & set(case["lines"].get(mutant.file, ())) and case["seconds"] < DEAREST:
            reaching.setdefault(name.partition("[")[0], []).append(name)
    few = []
    for names in reaching.values():
        few += names[:: max(1, len(names) // CASES_OF_ONE)][:CASES_OF_ONE]
    few.sort(key=lambda name: (not name.startswith(twin), cases[name]["seconds"]))
    wanted, total = set(), 0.0
    for name in few:
        total += cases[name]["seconds"]
        if total > SECONDS and wanted:
            break
        wanted.add(name)
    return wanted


def run(lines: Path, out: Path) -> None:
    cases = json.loads(lines.read_text())
    reached = [mutant for file in modules() for mutant in mutants_of(file) if chosen(mutant, cases)]
    drawn = random.Random(SEED).sample(reached, min(COUNT, len(reached)))
    done = len(out.read_text().splitlines()) if out.is_file() else 0
    with out.open("a", buffering=1) as results:
        for mutant in drawn[done:]:
            wanted = chosen(mutant, cases)

            def work(mutant: Mutant = mutant, wanted: set[str] = wanted) -> list[str]:
                sys.meta_path.insert(0, Loader(mutant))
                return sorted(pytest_with(Watch(wanted), sorted({name.partition("::")[0] for name in wanted})).failed)

            failed = in_child(work, LIMIT)
            killers = ["time-out"] if failed is None else sorted({name.partition("[")[0] for name in failed})
            ran = sorted({name.partition("[")[0] for name in wanted})
            results.write(json.dumps({**mutant._asdict(), "ran": ran, "killers": killers}) + "\n")


def table(out: Path) -> Iterator[str]:
    results = [json.loads(line) for line in out.read_text().splitlines()]
    yield "| room | mutants | killed | by one function | by 2 to 5 | by more | at import or by time | survivors |"
    yield "| --- | --- | --- | --- | --- | --- | --- | --- |"
    for room in (*MODULES, ""):
        here = [result for result in results if result["file"].startswith(room)]
        if here:
            counts = collections.Counter(_class(result["killers"]) for result in here)
            cells = [
                len(here),
                len(here) - counts["none"],
                *(counts[name] for name in ("one", "few", "many", "all", "none")),
            ]
            yield f"| {room or 'sum'} | {' | '.join(map(str, cells))} |"
    yield "\nSurvivors:\n"
    for result in results:
        if not result["killers"]:
            yield f"- `{result['file']}:{result['line']}`: `{result['what']}` ({len(result['ran'])} functions ran)"
    yield "\nFunctions whose kills always lie inside those of one other (kills, other function with its kills):\n"
    kills: dict[str, set[int]] = {}
    for number, result in enumerate(results):
        for name in result["killers"]:
            kills.setdefault(name, set()).add(number)
    for name, own in sorted(kills.items()):
        others = [other for other, theirs in kills.items() if other != name and own < theirs]
        if others:
            widest = max(others, key=lambda other: len(kills[other]))
            yield f"- {name} ({len(own)}): {widest} ({len(kills[widest])})"


def _class(killers: list[str]) -> str:
    if not killers:
        return "none"
    if set(killers) & {"import", "time-out"}:
        return "all"
    return "one" if len(killers) == 1 else "few" if len(killers) <= 5 else "many"


if __name__ == "__main__":
    command, *paths = sys.argv[1:]
    if command == "table":
        sys.stdout.write("\n".join(table(Path(paths[0]))) + "\n")
    else:
        for library in LIBRARIES:
            importlib.import_module(library)
        {"trace": trace, "run": run}[command](*map(Path, paths))
