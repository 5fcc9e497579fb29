"""The hash of the code that a cell runs, so that resuming never crosses a change of the code.

It covers the modules of a method, a task and a backbone, and every sparsebench module that they import, directly or
not. Comments, layout and docstrings do not count; neither do the runner and the reports, which no score passes through.
"""

import ast
import functools
import hashlib
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from .registry import ROOT, Entry
from .table import table_constant, uses_table

TOP = "sparsebench"
HOME = ROOT.parent
LEFT_OUT = ("sparsebench.reports", "sparsebench.suites.runner")


def code_hash(entries: Iterable[Entry], libraries: Iterable[str]) -> str:
    """Hash of the code behind `entries` and of the installed versions of `libraries` (16 hex digits)."""
    parts = [f"{name}=={installed(name)}" for name in sorted(libraries)]
    entries = tuple(entries)
    modules = {entry.module: entry.path for entry in entries}
    closure = _closure(tuple(sorted(modules.items())))
    rows = {entry.module: entry for entry in entries if _is_one_row(entry, closure)}
    for module, path in sorted(closure.items()):
        parts.append(f"{module} {_normal_form(path, with_table=module not in rows)}")
    for module, entry in rows.items():
        parts.append(f"{module} {sorted(entry.row_fields.items())}")
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


def _is_one_row(entry: Entry, closure: dict[str, Path]) -> bool:
    """Whether no other row of the entry's table can change what it does: no code reads the table."""
    if entry.row is None or uses_table(_tree(entry.path)):
        return False
    return not any(entry.module in _imports(module, path) for module, path in closure.items())


def installed(distribution: str) -> str:
    """The installed version of a distribution, or "absent"."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return "absent"


@functools.cache
def _closure(roots: tuple[tuple[str, Path], ...]) -> dict[str, Path]:
    """All modules reachable from `roots` by import statements, those inside functions included."""
    found = dict(roots)
    waiting = list(roots)
    while waiting:
        module, path = waiting.pop()
        for name in _imports(module, path):
            file = _file(name)
            if file is not None and name not in found and not name.startswith(LEFT_OUT):
                found[name] = file
                waiting.append((name, file))
    return found


@functools.cache
def _imports(module: str, path: Path) -> tuple[str, ...]:
    return tuple(_walk_imports(module, path))


def _walk_imports(module: str, path: Path) -> Iterator[str]:
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            source = _absolute(package, node.level, node.module or "")
            yield source
            yield from (f"{source}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            yield from _imported_by_name(package, node)


def _absolute(package: str, level: int, module: str) -> str:
    base = package.split(".")
    base = base[: len(base) - level + 1] if level else []
    return ".".join([*base, *filter(None, [module])])


def _imported_by_name(package: str, call: ast.Call) -> Iterator[str]:
    """`import_module(".plugins", __package__)`: that package with all its modules."""
    name = call.args[0].value if call.args and isinstance(call.args[0], ast.Constant) else None
    if isinstance(name, str) and name.startswith("."):
        target = _absolute(package, 1, name[1:])
        yield target
        file = _file(target)
        if file is not None and file.name == "__init__.py":
            yield from (f"{target}.{path.stem}" for path in sorted(file.parent.glob("[!_]*.py")))


def _file(module: str) -> Path | None:
    """The source file of a sparsebench module, None for anything else."""
    top, _, rest = module.partition(".")
    if top != TOP or not rest:
        return None
    place = HOME.joinpath(*rest.split("."))
    candidates = (place.with_suffix(".py"), place / "__init__.py")
    return next((file for file in candidates if file.is_file()), None)


@functools.cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@functools.cache
def _normal_form(path: Path, with_table: bool = True) -> str:
    """The code without comments, layout and docstrings."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if not with_table:
        tree.body = [statement for statement in tree.body if table_constant(statement) is None]
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [statement for statement in node.body if not _is_text(statement)] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()


def _is_text(statement: ast.stmt) -> bool:
    """A string that stands alone: a docstring, or the note under a field."""
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
