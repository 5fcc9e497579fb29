"""Pages of the names that `models/` gives out, face by face, and of the contracts; whether all stand in a site."""

import ast
import zlib
from collections.abc import Iterator
from pathlib import Path

from tests.test_docstrings import FACES, ROOT, module_of, names_of

CONTRACTS = ROOT / "suites" / "contracts"
PACKAGE = "sparsebench"
OPTIONS = """    options:
      members: false
      show_root_heading: false
      show_root_toc_entry: false
"""


def dotted(path: Path) -> str:
    """The name of a module of the tree."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join([PACKAGE, *parts]).removesuffix(".__init__")


def short(path: Path) -> str:
    """That name as a title."""
    return dotted(path).removeprefix(f"{PACKAGE}.").removeprefix("suites.")


def origin(path: Path, name: str) -> tuple[Path, str]:
    """Where a name that a module gives out is defined, along relative imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            for alias in node.names:
                target = module_of(path, node)
                if (alias.asname or alias.name) == name and target != path:
                    return origin(target, alias.name)
    return path, name


def public_names() -> dict[str, tuple[Path, str]]:
    """Each public name of `models/`, as `sparsebench.models.moe.convert`, and where it is defined."""
    return {f"{dotted(face)}.{name}": origin(face, name) for face in FACES for name in names_of(face)}


def contract_names() -> Iterator[str]:
    """The public classes, functions and constants of each module of the contracts."""
    for path in sorted(CONTRACTS.glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names: list[str] = []
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            yield from (f"{dotted(path)}.{name}" for name in names if not name.startswith("_"))


def api_pages() -> dict[str, str]:
    """Text by page. What several faces give out stands once, on the first of them; the others lead there."""
    names = public_names()
    shown: dict[tuple[Path, str], str] = {}
    found: dict[str, str] = {}
    for face in FACES:
        given = [f"{dotted(face)}.{name}" for name in names_of(face)]
        if not given:
            continue
        lines = [f"# {short(face)}\n", f"::: {dotted(face)}\n{OPTIONS}"]
        for name in given:
            first = shown.setdefault(names[name], name)
            if first == name:
                lines.append(f"::: {name}\n")
            else:
                lines.append(f"## `{name.rpartition('.')[2]}` {{ #{name} }}\n\nSee [`{first}`][{first}].\n")
        found[f"api/{short(face)}.md"] = "\n".join(lines)
    for path in sorted(CONTRACTS.glob("[!_]*.py")):
        lines = [f"# {short(path)}\n", f"::: {dotted(path)}", "    options:", "      show_root_heading: false\n"]
        found[f"api/{short(path)}.md"] = "\n".join(lines)
    return found


def missing(site: Path) -> list[str]:
    """The public names that a built site has no place for: by its index of objects, or by the anchor of a reference."""
    index = (site / "objects.inv").read_bytes().split(b"\n", 4)[4]
    known = {line.split()[0] for line in zlib.decompress(index).decode().splitlines()}
    pages = "".join(path.read_text(encoding="utf-8") for path in site.glob("api/**/*.html"))
    wanted = [*public_names(), *contract_names()]
    return [name for name in wanted if name not in known and f'id="{name}"' not in pages]
