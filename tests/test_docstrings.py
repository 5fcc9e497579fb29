"""What the faces of `models/` give out says what it takes, gives back and refuses. Parsed, not imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
FACES = sorted((ROOT / "models").rglob("__init__.py"))
FEW = 2
"""With fewer parameters one line may say all; errors have their section even so."""

Function = ast.FunctionDef


def module_of(face: Path, statement: ast.ImportFrom) -> Path:
    """The file that a relative import reads."""
    folder = face.parents[statement.level - 1].joinpath(*(statement.module or "").split("."))
    module = folder.with_suffix(".py")
    if statement.module and module.is_file():
        return module
    return folder / "__init__.py"


def definition(path: Path, name: str) -> tuple[Path, Function] | None:
    """The function of this name in a module, or where the module has it from; None for a class or a constant."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, Function) and node.name == name and node in tree.body:
            return path, node
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                target = module_of(path, node)
                if (alias.asname or alias.name) == name and target != path:
                    return definition(target, alias.name)
    return None


def names_of(face: Path) -> list[str]:
    for node in ast.parse(face.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return ast.literal_eval(node.value)
    return []


def public_functions() -> Iterator[tuple[str, Function]]:
    found: dict[tuple[Path, str], Function] = {}
    for face in FACES:
        for name in names_of(face):
            place = definition(face, name)
            if place is not None:
                found[place[0], name] = place[1]
    for (path, name), function in found.items():
        yield f"{path.relative_to(ROOT)}:{name}", function


def section(docstring: str, name: str) -> list[str]:
    """The lines of a section, without its title."""
    lines = docstring.splitlines()
    if f"{name}:" not in lines:
        return []
    rest = lines[lines.index(f"{name}:") + 1 :]
    end = next((place for place, line in enumerate(rest) if line and not line.startswith(" ")), len(rest))
    return rest[:end]


def parameters(function: Function) -> list[str]:
    arguments = function.args
    given = [*arguments.posonlyargs, *arguments.args, arguments.vararg, *arguments.kwonlyargs, arguments.kwarg]
    return [argument.arg for argument in given if argument is not None]


def faults(function: Function) -> list[str]:
    docstring = ast.get_docstring(function) or ""
    found: list[str] = []
    said = re.findall(r"^    (\w+): ", "\n".join(section(docstring, "Args")), re.MULTILINE)
    taken = parameters(function)
    if said != taken and (said or len(taken) >= FEW):
        found.append(f"Args: {said} for {taken}")
    gives = function.returns is None or ast.unparse(function.returns) != "None"
    if gives and len(taken) >= FEW and not section(docstring, "Returns") + section(docstring, "Yields"):
        found.append("no Returns:")
    raises = any(isinstance(node, ast.Raise) for node in ast.walk(function))
    if raises and not section(docstring, "Raises"):
        found.append("no Raises:")
    return found


def test_public_functions_say_what_they_take_give_and_refuse() -> None:
    functions = dict(public_functions())
    assert len(functions) > 80, "the faces are not read as they are written"
    wanting = [f"{place}: {'; '.join(faults(function))}" for place, function in functions.items() if faults(function)]
    assert not wanting, "\n".join(wanting)


def test_what_is_missing_is_found() -> None:
    source = '''
def silent(a, *, b): raise ValueError

def wrong(a, *rest, b, **more) -> None:
    """Words.

    Args:
        a: one.
        c: none.
    """

def right(a, *, b) -> int:
    """Words.

    Args:
        a: one.
        b: two,
            on two lines.

    Returns:
        A number.

    Raises:
        ValueError: always.
    """
    raise ValueError
'''
    silent, wrong, right = (node for node in ast.parse(source).body if isinstance(node, Function))
    assert faults(silent) == ["Args: [] for ['a', 'b']", "no Returns:", "no Raises:"]
    assert faults(wrong) == ["Args: ['a', 'c'] for ['a', 'rest', 'b', 'more']"]
    assert faults(right) == []
