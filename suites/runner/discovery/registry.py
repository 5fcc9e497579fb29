"""What there is to run: methods, tasks and backbones, found by file and by entry point, read without importing them.

A module is parsed, not imported, so that `sparsebench list` needs no torch. Entry points: `sparsebench.methods`
(`name = "package.module"`), `sparsebench.tasks` and `sparsebench.backbones` (`"suite.name" = "package.module"`).
A task is a file, or a row of a file with a table (`table.py`).
"""

import ast
import functools
import importlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ...contracts.suite import Suite
from ..errors import UsageError, near
from .closure import TOP, Tree
from .table import TableRow, read_table

if TYPE_CHECKING:
    from ...contracts.traits import Backbone

ROOT = Path(__file__).parents[2]
PACKAGE = "sparsebench.suites"
Kind = Literal["method", "task", "backbone"]


@dataclass(frozen=True)
class Entry:
    """One method, task or backbone, known by its file alone."""

    kind: Kind
    name: str
    module: str
    path: Path
    suite: str = ""
    """The suite of a task or a backbone; empty for a method, which may serve every suite."""
    row: TableRow | None = field(default=None, hash=False)
    """The row of the module's table that this task is, or None for a task with a file of its own."""
    companions: tuple[str, ...] = ()
    """The top-level packages of the distribution that brings a plug-in: their modules are followed, too."""

    @functools.cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))

    @property
    def caption(self) -> str:
        """The caption of the row, or the first line of the module's docstring."""
        if self.row is not None:
            return self.row["caption"]
        return (ast.get_docstring(self._tree) or "").partition("\n")[0].rstrip(".")

    @property
    def row_fields(self) -> dict[str, Any]:
        """What the row gives to the task's class: every column but the caption."""
        return {name: value for name, value in (self.row or {}).items() if name != "caption"}

    def rows(self) -> "list[Entry]":
        """The tasks in this file: one for each row of its table, or the entry itself if it has no table."""
        table = read_table(self._tree, self.path) if self.kind == "task" else []
        return [replace(self, name=row["name"], row=row) for row in table] or [self]

    def constant(self, name: str, default: Any) -> Any:
        """The row's value, or a literal assigned to `name` in the module or one of its classes; nothing is imported."""
        if self.row is not None and name in self.row:
            return self.row[name]
        for node in ast.walk(self._tree):
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if isinstance(node, ast.Assign | ast.AnnAssign) and any(_named(target, name) for target in targets):
                try:
                    return ast.literal_eval(node.value) if node.value else default
                except ValueError:
                    return default
        return default

    @property
    def sources(self) -> tuple[str, ...]:
        """Data sources that a task or backbone reads."""
        return tuple(self.constant("sources" if self.kind == "task" else "SOURCES", ()))

    def backbone(self, name: str) -> "Backbone":
        """What a method is told of this backbone, called `name[:argument]`."""
        from ...contracts.traits import Backbone

        traits = self.constant("TRAITS", None)
        return Backbone(name, None if traits is None else frozenset(traits))

    def load(self) -> ModuleType:
        """Import the module."""
        return importlib.import_module(self.module)


def _named(target: ast.AST | None, name: str) -> bool:
    return isinstance(target, ast.Name) and target.id == name


@functools.cache
def suites() -> Mapping[str, Suite]:
    """All suites by name: the folders of `suites/` that hold tasks."""
    names = sorted(path.parent.name for path in ROOT.glob("*/tasks"))
    return {name: importlib.import_module(f"{PACKAGE}.{name}.suite").SUITE for name in names}


def suite(name: str) -> Suite:
    """One suite. Raises `UsageError` for an unknown name."""
    if name not in suites():
        raise UsageError(f"unknown suite {name!r}{near(name, suites())}")
    return suites()[name]


@functools.cache
def entries(kind: Kind, suite: str = "") -> Mapping[str, Entry]:
    """All entries of a kind by name; tasks and backbones are those of one suite."""
    found = _by_name(_own_files(kind, suite))
    plugins = _by_name(_plugins(kind, suite))
    for name in found.keys() & plugins.keys():
        raise UsageError(f"an installed package brings the {kind} {name!r} ({plugins[name].module}), which is built in")
    return found | plugins


def _by_name(files: Iterator[Entry]) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    for file in files:
        for entry in file.rows():
            if entry.name in found:
                raise UsageError(
                    f"{entry.path} and {found[entry.name].path} both define the {entry.kind} {entry.name!r}"
                )
            found[entry.name] = entry
    return found


def _own_files(kind: Kind, suite: str) -> Iterator[Entry]:
    for folder in _folders(kind, suite):
        package = ".".join([PACKAGE, *folder.relative_to(ROOT).parts])
        for path in sorted(folder.glob("[!_]*.py")):
            yield Entry(kind, path.stem, f"{package}.{path.stem}", path, suite)


def _folders(kind: Kind, suite: str) -> list[Path]:
    """Where the files of a kind lie: methods in `methods/` and, those that only one suite can have, in that suite's."""
    if kind == "method":
        return [ROOT / "methods", *(ROOT / name / "methods" for name in suites())]
    return [ROOT / suite / f"{kind}s"]


def _plugins(kind: Kind, suite: str) -> Iterator[Entry]:
    for point in entry_points(group=f"sparsebench.{kind}s"):
        owner, _, name = point.name.rpartition(".")
        if kind == "method" or owner == suite:
            yield Entry(kind, name, point.value, _source_file(point.value), suite, companions=top_packages(point))


def top_packages(point: EntryPoint) -> tuple[str, ...]:
    """The top-level packages of the distribution that names this entry point, that of its module at least."""
    found = {point.value.partition(".")[0]}
    if point.dist is not None:
        found |= set((point.dist.read_text("top_level.txt") or "").split())
        for path in point.dist.files or ():
            if path.suffix == ".py" and ".." not in path.parts:
                found.add(path.parts[0].removesuffix(".py"))
    return tuple(sorted(found - {TOP}))


def _source_file(module: str) -> Path:
    """The file of a plug-in's module, found without running anything of it."""
    file = Tree().file(module)
    if file is None:
        raise UsageError(f"entry point names the module {module!r}, which cannot be found: reinstall that package")
    return file


def find(kind: Kind, name: str, suite: str = "") -> Entry:
    """The entry called `name` (a backbone may carry an argument: `name:argument`). Raises `UsageError`."""
    known = entries(kind, suite)
    plain = name.partition(":")[0] if kind == "backbone" else name
    if plain not in known:
        where = f" in suite {suite!r}" if suite else ""
        raise UsageError(f"unknown {kind} {plain!r}{where}{near(plain, known)}")
    return known[plain]


def load_class(entry: Entry, base: type) -> type:
    """The one class derived from `base` that the entry's module defines. Raises `UsageError` if it is not one."""
    module = entry.load()
    classes = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if len(classes) != 1:
        raise UsageError(
            f"{entry.kind} {entry.name!r}: {entry.path.name} must define one {base.__name__}, not {len(classes)}"
        )
    return classes[0]
