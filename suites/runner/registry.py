"""What there is to run: methods, tasks and backbones, found by file and by entry point, read without importing them.

A module is parsed, not imported, so that `sparsebench list` needs no torch. Entry points: `sparsebench.methods`
(`name = "package.module"`), `sparsebench.tasks` and `sparsebench.backbones` (`"suite.name" = "package.module"`).
"""

import ast
import functools
import importlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from ..contracts.suite import Suite
from .errors import UsageError, near

if TYPE_CHECKING:
    from ..contracts.method import Backbone

ROOT = Path(__file__).parents[1]
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

    @functools.cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))

    @property
    def caption(self) -> str:
        """The first line of the module's docstring."""
        return (ast.get_docstring(self._tree) or "").partition("\n")[0].rstrip(".")

    def constant(self, name: str, default: Any) -> Any:
        """A literal assigned to `name` in the module or in one of its classes, without importing it."""
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
        from ..contracts.method import Backbone

        return Backbone(name, self.constant("FAMILY", ""))

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
    found = {}
    for folder in _folders(kind, suite):
        package = ".".join([PACKAGE, *folder.relative_to(ROOT).parts])
        for path in sorted(folder.glob("[!_]*.py")):
            found[path.stem] = Entry(kind, path.stem, f"{package}.{path.stem}", path, suite)
    plugins = _plugins(kind, suite)
    for name in found.keys() & plugins.keys():
        raise UsageError(f"an installed package brings the {kind} {name!r} ({plugins[name].module}), which is built in")
    return found | plugins


def _folders(kind: Kind, suite: str) -> list[Path]:
    """Where the files of a kind lie: methods in `methods/` and, those that only one suite can have, in that suite's."""
    if kind == "method":
        return [ROOT / "methods", *(ROOT / name / "methods" for name in suites())]
    return [ROOT / suite / f"{kind}s"]


def _plugins(kind: Kind, suite: str) -> dict[str, Entry]:
    found = {}
    for point in entry_points(group=f"sparsebench.{kind}s"):
        owner, _, name = point.name.rpartition(".")
        if kind == "method" or owner == suite:
            found[name] = Entry(kind, name, point.value, _source_file(point.value), suite)
    return found


def _source_file(module: str) -> Path:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise UsageError(f"entry point names the module {module!r}, which cannot be found: reinstall that package")
    return Path(spec.origin)


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
