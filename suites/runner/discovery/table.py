"""A family of near-equal tasks in one file: a table that is read without importing the file.

    COLUMNS = ("name", "caption", "group", "classes")
    ROWS = (
        ("vtab1k_cifar", "VTAB-1K: CIFAR-100, from your own folder", "natural", 100),
        ("vtab1k_dtd", "VTAB-1K: DTD textures, from your own folder", "natural", 47),
    )

Each row is a task with a name, a caption, a code hash and records of its own. The file defines one dataclass derived
from `Task`, whose fields are the columns without the caption.
"""

import ast
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import UsageError

CONSTANTS = ("COLUMNS", "ROWS")
REQUIRED = ("name", "caption")

TableRow = Mapping[str, Any]
"""Values by column."""


def read_table(tree: ast.Module, path: Path) -> list[TableRow]:
    """The rows of a parsed module; none if it has no table. Raises `UsageError` for a table that cannot be read."""
    literals = _literals(tree, path)
    if not literals:
        return []
    if set(literals) != set(CONSTANTS):
        raise UsageError(f"{path}: a table of tasks is COLUMNS and ROWS, but there is only {', '.join(literals)}")
    columns, rows = literals["COLUMNS"], literals["ROWS"]
    for column in REQUIRED:
        if column not in columns:
            raise UsageError(f"{path}: COLUMNS has no {column!r}")
    table = [_row(columns, row, path) for row in rows]
    names = [row["name"] for row in table]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{path}: two rows are called {name!r}")
    return table


def _literals(tree: ast.Module, path: Path) -> dict[str, Any]:
    found = {}
    for statement in tree.body:
        name = table_constant(statement)
        if name is None:
            continue
        assert isinstance(statement, ast.Assign)
        try:
            found[name] = ast.literal_eval(statement.value)
        except ValueError:
            raise UsageError(f"{path}: {name} must be a literal, since it is read without importing the file") from None
    return found


def _row(columns: Sequence[str], values: Sequence[object], path: Path) -> TableRow:
    if len(values) != len(columns):
        raise UsageError(f"{path}: the row {values} has {len(values)} values for {len(columns)} columns: {columns}")
    return dict(zip(columns, values, strict=True))


def table_constant(statement: ast.stmt) -> str | None:
    """`COLUMNS` or `ROWS` if the statement assigns it, else None."""
    if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
        name = statement.targets[0].id
        return name if name in CONSTANTS else None
    return None


def uses_table(tree: ast.Module) -> bool:
    """Whether code of the module reads its own table, so that a task may depend on more than its row."""
    reads = (node for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))
    return any(node.id in CONSTANTS for node in reads)
