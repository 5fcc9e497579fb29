"""`sparsebench new`: a package with one module, its entry points and a test that passes once it is installed."""

import importlib.util
import keyword
import re
import shlex
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sparsebench.models.registry import plural

from ..discovery.entry import Kind
from ..discovery.registry import entries, suites
from ..errors import UsageError, near

TEMPLATES = Path(__file__).parent / "templates"
KINDS = ("method", "task", "router", "adapter")
TASK_SUITES = ("vtab", "molecules")
"""Suites with a template of a task; texts of one's own need none: they are the task `own_text`."""

MODULES = {
    "method": ("method.py.jinja", "test_method.py.jinja"),
    "router": ("router.py.jinja", "test_router.py.jinja"),
    "adapter": ("adapter.py.jinja", "test_adapter.py.jinja"),
    "task of vtab": ("task_vtab.py.jinja", "test_task.py.jinja"),
    "task of molecules": ("task_molecules.py.jinja", "test_task.py.jinja"),
}
"""Templates of the module and of its test."""


@dataclass(frozen=True)
class Brief:
    """What a template is filled with: `name` is that of the module, `title` the same in words."""

    kind: str
    name: str
    suite: str

    @property
    def title(self) -> str:
        """In words: "my router"."""
        return self.name.replace("_", " ")

    @property
    def cls(self) -> str:
        """As the name of a class: "MyRouter"."""
        return "".join(word.capitalize() for word in self.name.split("_"))

    @property
    def row(self) -> str:
        """What the bench calls it: the method that uses a router is not the router."""
        return f"{self.name}_moe" if self.kind == "router" else self.name

    @property
    def points(self) -> Mapping[str, Mapping[str, str]]:
        """Entry points: group to name to module."""
        groups = {
            "method": {"method": self.name},
            "task": {"task": f"{self.suite}.{self.name}"},
            "router": {"router": self.name, "method": self.row},
            "adapter": {"adapter": f"{self.cls}Config", "method": self.name},
        }[self.kind]
        return {f"sparsebench.{plural(group)}": {point: self.name} for group, point in groups.items()}


def write_package(kind: str, name: str, folder: Path | None, suite: str) -> Path:
    """Write the package into a new folder.

    Args:
        kind: one of `KINDS`.
        name: of what it brings, and of its module.
        folder: where; one that is called like it, here, unless given.
        suite: of a task.

    Returns:
        The folder.

    Raises:
        UsageError: the kind, the name or the suite cannot be, or the folder is there. Nothing is written.
    """
    brief = _checked(Brief(kind, name, suite))
    target = folder or Path(name)
    if target.exists():
        raise UsageError(f"{target} is there already: name a new folder")
    if not target.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {target.parent} to write into")
    partial = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.absolute().parent))
    partial.chmod(0o755)
    try:
        for place, text in _files(brief).items():
            (partial / place).parent.mkdir(parents=True, exist_ok=True)
            (partial / place).write_text(text, encoding="utf-8")
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return target


def commands(kind: str, name: str, folder: Path, suite: str) -> str:
    """What to do next."""
    row = Brief(kind, name, suite).row
    place = shlex.quote(str(folder))
    lines = [f"pip install --no-deps --editable {place}", f"python -m pytest {place}", f"sparsebench show {name}"]
    if kind == "task":
        lines.append(f"sparsebench {suite} run --profile smoke --task {name}")
    else:
        lines += [f"sparsebench check {name}", f"sparsebench vtab run --profile smoke --method {row}"]
    return "\n".join(lines)


def _files(brief: Brief) -> dict[str, str]:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    loader = FileSystemLoader(TEMPLATES)
    environment = Environment(loader=loader, undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    module, test = MODULES[f"task of {brief.suite}" if brief.kind == "task" else brief.kind]
    templates = {
        "pyproject.toml": "pyproject.toml.jinja",
        "README.md": "README.md.jinja",
        f"{brief.name}.py": module,
        f"tests/test_{brief.name}.py": test,
    }
    return {place: environment.get_template(template).render(brief=brief) for place, template in templates.items()}


def _checked(brief: Brief) -> Brief:
    if brief.kind not in KINDS:
        raise UsageError(f"there is no template of a {brief.kind!r}{near(brief.kind, KINDS)}")
    name = brief.name
    if not re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name) or keyword.iskeyword(name):
        raise UsageError(f"the name {name!r} must be small letters, digits and single underscores, as my_{brief.kind}")
    if importlib.util.find_spec(name) is not None:
        raise UsageError(f"a Python module {name!r} is installed already: take another name")
    if brief.kind == "task" and brief.suite not in TASK_SUITES:
        known = near(brief.suite, suites())
        hint = "texts of yours are the task own_text" if brief.suite == "llm" else f"there is no such suite{known}"
        raise UsageError(f"no template of a task in {brief.suite!r}: {hint}; templates: {', '.join(TASK_SUITES)}")
    _check_taken(brief)
    return brief


def _check_taken(brief: Brief) -> None:
    wanted: list[tuple[Kind, str]] = [("method", brief.row)]
    if brief.kind == "router":
        wanted.append(("router", brief.name))
    if brief.kind == "task":
        wanted = [("task", brief.name)]
    for kind, name in wanted:
        if name in entries(kind, brief.suite if kind == "task" else ""):
            raise UsageError(f"there is a {kind} {name!r} already: take another name")
