"""The options of a method and the fields of a budget, as their files state them: nothing is imported.

Each is an annotated name in a dataclass with a default; the string below it explains it.
"""

import ast
import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from .closure import TOP, Tree
from .registry import Entry

METHOD = (f"{TOP}.suites.contracts.method", "Method")
LATER = "Later"
BUDGET = (f"{TOP}.suites.contracts.budget", "Budget")

Place = tuple[str, str]
"""A module and the name of a class or variable that it defines."""


@dataclass(frozen=True)
class Option:
    """One option: `kind` is its type and `default` its value, both as Python text."""

    name: str
    kind: str
    default: str
    allowed: tuple[str, ...]
    """The values that a `Literal` in the type lists, as text; empty where it lists none."""
    text: str
    """The explanation; empty where the file gives none."""
    later: bool = False
    """Whether there are records of the method from before it had this option (`contracts.method.Later`)."""


@functools.cache
def options_of(entry: Entry) -> Mapping[str, Option]:
    """The options of a method by name, inherited ones first."""
    for statement in _statements(entry.module):
        place = (entry.module, getattr(statement, "name", ""))
        if isinstance(statement, ast.ClassDef) and METHOD in _line(place):
            return fields_of(place)
    return {}


def budget_options() -> Mapping[str, Option]:
    """The fields of a budget by name."""
    return fields_of(BUDGET)


@functools.cache
def fields_of(place: Place) -> Mapping[str, Option]:
    """The fields of a dataclass by name, inherited ones first."""
    found: dict[str, Option] = {}
    for ancestor in reversed(list(_line(place))):
        body = _class_body(ancestor)
        for number, statement in enumerate(body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                following = body[number + 1] if number + 1 < len(body) else None
                option = _option(ancestor[0], statement, statement.target.id, following)
                if option is not None:
                    found[option.name] = _explained(option, found)
    return found


def _option(module: str, statement: ast.AnnAssign, name: str, following: ast.stmt | None) -> Option | None:
    given, later = _unmarked(statement.annotation)
    annotation = _Aliases(module).visit(given)
    if ast.unparse(annotation).startswith(("ClassVar", "typing.ClassVar")):
        return None
    default = "" if statement.value is None else ast.unparse(_default(module, statement.value))
    return Option(name, _kind(annotation), default, tuple(_allowed(annotation)), _text(following), later)


def _unmarked(annotation: ast.expr) -> tuple[ast.expr, bool]:
    """The type without `Later[...]`, and whether it had it."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value) == LATER:
        return annotation.slice, True
    return annotation, False


def _explained(option: Option, inherited: Mapping[str, Option]) -> Option:
    """With the explanation of the field that it takes the place of, if it has none of its own."""
    if option.text or option.name not in inherited:
        return option
    return replace(option, text=inherited[option.name].text)


def _text(statement: ast.stmt | None) -> str:
    """The string that stands alone after a field, on one line."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return " ".join(str(statement.value.value).split())
    return ""


def _default(module: str, value: ast.expr) -> ast.expr:
    """The value that a constant stands for; of `field(default=...)`, what it says."""
    if isinstance(value, ast.Call):
        given = {keyword.arg: keyword.value for keyword in value.keywords}
        return given.get("default", value)
    if isinstance(value, ast.Name):
        return _value(module, value.id) or value
    return value


def _kind(annotation: ast.expr) -> str:
    """The type as text, the values of a `Literal` plainly: "'all' | int"."""
    if isinstance(annotation, ast.BinOp):
        return f"{_kind(annotation.left)} | {_kind(annotation.right)}"
    values = _literal(annotation)
    if values is not None:
        return " | ".join(ast.unparse(value) for value in values)
    return ast.unparse(annotation)


def _allowed(annotation: ast.expr) -> Iterator[str]:
    for node in ast.walk(annotation):
        for value in _literal(node) or []:
            if isinstance(value, ast.Constant):
                yield str(value.value)


def _literal(node: ast.AST) -> list[ast.expr] | None:
    """The values of `Literal[...]`; None for anything else."""
    if isinstance(node, ast.Subscript) and ast.unparse(node.value).rpartition(".")[2] == "Literal":
        return node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    return None


class _Aliases(ast.NodeTransformer):
    """Puts the type that a name stands for in its place (`Kind = Literal["lora", "mam"]`)."""

    def __init__(self, module: str) -> None:
        self._module = module

    def visit_Name(self, node: ast.Name) -> ast.expr:
        value = _value(self._module, node.id)
        return node if value is None else value


def _value(module: str, name: str) -> ast.expr | None:
    """What a variable of a module is assigned, wherever the module has it from; None for what is no variable."""
    place = _locate(module, name)
    if place is None:
        return None
    for statement in _statements(place[0]):
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == place[1]:
            return statement.value
    return None


def _line(place: Place) -> Iterator[Place]:
    """A class and those that it derives from, itself first."""
    yield place
    for statement in _statements(place[0]):
        if isinstance(statement, ast.ClassDef) and statement.name == place[1]:
            for base in statement.bases:
                origin = _locate(place[0], ast.unparse(base))
                if origin is not None:
                    yield from _line(origin)


def _class_body(place: Place) -> list[ast.stmt]:
    for statement in _statements(place[0]):
        if isinstance(statement, ast.ClassDef) and statement.name == place[1]:
            return statement.body
    return []


def _locate(module: str, name: str) -> Place | None:
    """The module that defines what `name` is in a module; None for what comes from no file that can be read."""
    file = _tree().module(module)
    if file is None:
        return None
    if name in file.defined:
        return module, name
    taken = file.bound.get(name)
    return None if taken is None or taken == (module, name) else _locate(*taken)


@functools.cache
def _tree() -> Tree:
    return Tree()


@functools.cache
def _statements(module: str) -> tuple[ast.stmt, ...]:
    """The statements of a module, explanations of fields included."""
    path = _tree().file(module)
    return () if path is None else tuple(ast.parse(path.read_text(encoding="utf-8")).body)
