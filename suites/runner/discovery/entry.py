"""A method, a task, a backbone or a part of models as its file shows it, read without importing it."""

import ast
import functools
import importlib
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, get_args

from ..errors import UsageError
from .table import TableRow, read_table

if TYPE_CHECKING:
    from ...contracts.traits import Backbone

PartKind = Literal["router", "split", "criterion", "adapter"]
"""What models are changed with, by a name in a configuration."""
Kind = Literal["method", "task", "backbone", PartKind]
PARTS: tuple[PartKind, ...] = get_args(PartKind)
NO_LITERAL = (ValueError, TypeError, SyntaxError, MemoryError, RecursionError)
"""What `ast.literal_eval` raises on an expression that is no literal."""


@dataclass(frozen=True)
class Entry:
    """One method, task, backbone or part, known by its file alone."""

    kind: Kind
    name: str
    module: str
    path: Path
    suite: str = ""
    """The suite of a task or a backbone; empty for a method or a part, which may serve every suite."""
    row: TableRow | None = field(default=None, hash=False)
    """The row of the module's table that this task is, or None for a task with a file of its own."""
    symbol: str = ""
    """The class or function that is a part; empty where its module has no other."""
    companions: tuple[str, ...] = ()
    """The top-level packages of the distribution that brings a plug-in: their modules are followed, too."""

    @functools.cached_property
    def _tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), filename=str(self.path))

    @functools.cached_property
    def _assigned(self) -> dict[str, ast.expr | None]:
        """What is assigned to each name first; every cell asks for some of them."""
        found: dict[str, ast.expr | None] = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name):
                        found.setdefault(target.id, node.value)
        return found

    @property
    def caption(self) -> str:
        """The caption of the row, or the first line of the docstring."""
        if self.row is not None:
            return self.row["caption"]
        return self.docstring.partition("\n")[0].rstrip(".")

    @property
    def docstring(self) -> str:
        """Of the symbol, or of the module."""
        for node in self._tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == self.symbol:
                return ast.get_docstring(node) or ""
        return ast.get_docstring(self._tree) or ""

    @property
    def row_fields(self) -> dict[str, Any]:
        """What the row gives to the task's class: every column but the caption."""
        return {name: value for name, value in (self.row or {}).items() if name != "caption"}

    def rows(self) -> "list[Entry]":
        """The tasks in this file: one for each row of its table, or the entry itself if it has no table."""
        table = read_table(self._tree, self.path) if self.kind == "task" else []
        return [replace(self, name=row["name"], row=row) for row in table] or [self]

    def constant(self, name: str, default: object) -> Any:
        """The row's value, or a literal assigned to `name` in the module or one of its classes; nothing is imported."""
        if self.row is not None and name in self.row:
            return self.row[name]
        value = self._assigned.get(name)
        try:
            return default if value is None else ast.literal_eval(value)
        except NO_LITERAL:
            return default

    @property
    def sources(self) -> tuple[str, ...]:
        """Data sources that a task or backbone reads."""
        return self._texts("sources" if self.kind == "task" else "SOURCES") or ()

    @property
    def traits(self) -> frozenset[str] | None:
        """What a backbone says that it has, or None if it says nothing."""
        found = self._texts("TRAITS")
        return None if found is None else frozenset(found)

    def _texts(self, name: str) -> tuple[str, ...] | None:
        """A constant that is a list of texts, None where there is none. Raises `UsageError` for anything else."""
        found = self.constant(name, None)
        if found is None:
            return None
        if not isinstance(found, list | tuple | set) or not all(isinstance(text, str) for text in found):
            raise UsageError(f"{self.path}: {name} must be a list of texts, not {found!r}")
        return tuple(found)

    def check(self) -> None:
        """Read all that is told of the entry without importing it. Raises `UsageError`, or what `ast.parse` raises."""
        if not isinstance(self.caption, str):
            raise UsageError(f"{self.path}: the caption of {self.name!r} is no text")
        self._texts("sources" if self.kind == "task" else "SOURCES")
        self._texts("TRAITS")
        self._texts("DESCRIBERS")

    def backbone(self, name: str) -> "Backbone":
        """What a method is told of this backbone, called `name[:argument]`."""
        from ...contracts.traits import Backbone

        return Backbone(name, self.traits)

    def load(self) -> ModuleType:
        """Import the module. Raises `UsageError` where that of a plug-in cannot be imported."""
        try:
            return importlib.import_module(self.module)
        except (Exception, SystemExit) as error:  # a package of somebody else may break in any way
            if not self.companions:
                raise
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise UsageError(f"{self.kind} {self.name!r}: {self.module} cannot be imported: {reason}") from error
