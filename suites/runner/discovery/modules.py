"""What a Python file says of itself, read without running it: its imports, its strings, and its code.

Comments, layout and docstrings are no part of the code.
"""

import ast
import functools
import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from .table import table_constant, uses_table

VARIABLE = re.compile(r"SPARSEBENCH_[A-Z0-9_]+")
EVERYTHING = "*"
"""In the place of a name: any name of the module may be used."""
SUBMODULES = ".*"
"""In the place of a name: any module of the package may be imported."""


class Taken(NamedTuple):
    """A name that an import takes from a module."""

    module: str
    name: str = EVERYTHING


class Module:
    """One Python file.

    Args:
        name: dotted name of the module.
        path: its file.
    """

    def __init__(self, name: str, path: Path) -> None:
        self.name = name
        self.path = path
        self.is_package = path.name == "__init__.py"
        self._tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        _drop_docstrings(self._tree)

    @functools.cached_property
    def imports(self) -> tuple[Taken, ...]:
        """What the file imports anywhere, inside functions too.

        What stands under `if TYPE_CHECKING:` is left to type checkers, but for a package: there it says where the
        names come from that `__getattr__` imports later.
        """
        found = []
        for node in _walk(self._tree, types=self.is_package):
            found += self._imported(node)
        return tuple(found)

    @functools.cached_property
    def imported(self) -> frozenset[str]:
        """Names of the modules that it takes something from."""
        return frozenset(taken.module for taken in self.imports)

    @functools.cached_property
    def bound(self) -> Mapping[str, Taken]:
        """Names that the file binds by `from module import name`, and what each stands for."""
        found = {}
        for node in ast.walk(self._tree):
            if isinstance(node, ast.ImportFrom):
                module = self._absolute(node.level, node.module or "")
                found |= {alias.asname or alias.name: Taken(module, alias.name) for alias in node.names}
        return found

    @functools.cached_property
    def defined(self) -> frozenset[str]:
        """Names of the classes, functions and variables at the top level of the file."""
        found = set()
        for node in self._tree.body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                found.add(node.name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                found |= {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
        return frozenset(found)

    @functools.cached_property
    def strings(self) -> frozenset[str]:
        """All string literals but docstrings."""
        constants = [node.value for node in ast.walk(self._tree) if isinstance(node, ast.Constant)]
        return frozenset(value for value in constants if isinstance(value, str))

    @functools.cached_property
    def variables(self) -> frozenset[str]:
        """The environment variables of ours that it names."""
        return frozenset(filter(VARIABLE.fullmatch, self.strings))

    @functools.cached_property
    def code(self) -> str:
        """Hash of the code."""
        return _hash(self._tree.body)

    @functools.cached_property
    def code_around_table(self) -> str:
        """Hash of the code without the table of tasks that the file holds."""
        return _hash([statement for statement in self._tree.body if table_constant(statement) is None])

    @functools.cached_property
    def reads_its_table(self) -> bool:
        """Whether code of the file uses its table of tasks."""
        return uses_table(self._tree)

    def _imported(self, node: ast.AST) -> list[Taken]:
        if isinstance(node, ast.Import):
            return [Taken(alias.name) for alias in node.names]
        if isinstance(node, ast.ImportFrom):
            module = self._absolute(node.level, node.module or "")
            return [Taken(module, alias.name) for alias in node.names]
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module") and node.args:
            return self._imported_by_name(node.args[0])
        return []

    def _imported_by_name(self, name: ast.expr) -> list[Taken]:
        """`import_module("a.b")` takes all of that module, `import_module(f"a.b.{c}")` any module of a.b."""
        if isinstance(name, ast.Constant) and isinstance(name.value, str):
            return [Taken(self._from_dots(name.value))]
        start = name.values[0] if isinstance(name, ast.JoinedStr) else None
        if isinstance(start, ast.Constant) and isinstance(start.value, str):
            return [Taken(self._from_dots(start.value.rpartition(".")[0]), SUBMODULES)]
        return []

    def _from_dots(self, name: str) -> str:
        plain = name.lstrip(".")
        return self._absolute(len(name) - len(plain), plain)

    def _absolute(self, level: int, module: str) -> str:
        """The full name of a module that is imported relatively: one dot is the file's own package."""
        if not level:
            return module
        base = self.name.split(".")
        outside = level if not self.is_package else level - 1
        return ".".join([*base[: len(base) - outside], *filter(None, [module])])


def _hash(statements: list[ast.stmt]) -> str:
    return hashlib.sha256(ast.unparse(ast.Module(statements, [])).encode()).hexdigest()


def _walk(node: ast.AST, *, types: bool) -> Iterator[ast.AST]:
    """All nodes below `node`; `types` says whether those count that only a type checker reads."""
    for child in ast.iter_child_nodes(node):
        if types or not _is_for_type_checkers(child):
            yield child
            yield from _walk(child, types=types)


def _is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")


def _drop_docstrings(tree: ast.Module) -> None:
    """Take out the strings that stand alone: docstrings, and the notes under fields."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)] or [ast.Pass()]


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
