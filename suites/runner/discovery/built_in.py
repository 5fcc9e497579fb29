"""Routers, splits, criteria and kinds of adapters of `models/`, read from files that name them; nothing is imported."""

import ast
import re
from collections.abc import Iterator

from .closure import TOP, Tree
from .entry import Entry, PartKind
from .modules import Module

TABLES: dict[PartKind, tuple[str, str]] = {
    "router": (f"{TOP}.models.moe.routing.kinds", "ROUTERS"),
    "split": (f"{TOP}.models.moe.splits", "SPLITS"),
    "criterion": (f"{TOP}.models.sparsity.scoring", "CRITERIA"),
}
"""The module and the constant that hold the things of a kind by name."""
ADAPTERS = f"{TOP}.models.adapters"
"""The package whose face has the kinds of adapters: what it takes that is called so."""
ADAPTER = re.compile(r"(?!Adapter).+Config")


def built_in(kind: PartKind) -> Iterator[Entry]:
    """What this package has of a kind, in the order of its table."""
    tree = Tree()
    if kind == "adapter":
        yield from _adapters(tree)
        return
    name, constant = TABLES[kind]
    table = tree.module(name)
    assert table is not None
    for key, value in _items(table, constant):
        module, symbol = _place(table, value)
        path = tree.file(module)
        assert path is not None
        yield Entry(kind, key, module, path, symbol=symbol)


def _adapters(tree: Tree) -> Iterator[Entry]:
    face = tree.module(ADAPTERS)
    assert face is not None
    for name, taken in sorted(face.bound.items()):
        path = tree.file(taken.module)
        if path is not None and ADAPTER.fullmatch(name):
            yield Entry("adapter", name, taken.module, path, symbol=name)


def _items(table: Module, constant: str) -> Iterator[tuple[str, ast.expr]]:
    for statement in ast.parse(table.path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.AnnAssign) and ast.unparse(statement.target) == constant:
            assert isinstance(statement.value, ast.Dict)
            for key, value in zip(statement.value.keys, statement.value.values, strict=True):
                assert isinstance(key, ast.Constant)
                yield str(key.value), value


def _place(table: Module, value: ast.expr) -> tuple[str, str]:
    """The module of a value of the table, and its class or function there; "" where the module stands for it."""
    if isinstance(value, ast.Attribute):
        taken = table.bound[ast.unparse(value.value)]
        return f"{taken.module}.{taken.name}", ""
    name = ast.unparse(value)
    taken = table.bound.get(name)
    return (table.name, name) if taken is None else (taken.module, taken.name)
