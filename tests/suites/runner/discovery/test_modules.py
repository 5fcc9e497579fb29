"""What is read from a file of Python without running it."""

from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery.modules import EVERYTHING, SUBMODULES, Module, Taken

SOURCE = '''
"""Module."""
import a.b
from typing import TYPE_CHECKING
from importlib import import_module
from . import sibling
from ..up import thing as renamed

if TYPE_CHECKING:
    from .types import OnlyAType

LIMIT: int = 3
FILE = "kernel.cpp"


class Thing:
    """Doc."""

    size: int = 0
    """Note."""


def work(name):
    from .later import helper

    import_module(".plain", __package__)
    import_module(f".family.{name}", __package__)
    import_module(name)
    return helper
'''


@pytest.fixture
def module(tmp_path: Path) -> Module:
    return write(tmp_path / "mine.py", SOURCE)


def write(path: Path, text: str, name: str = "top.room.mine") -> Module:
    path.write_text(text)
    return Module(name, path)


def test_imports_wherever_they_stand(module: Module) -> None:
    assert set(module.imports) == {
        Taken("a.b", EVERYTHING),
        Taken("typing", "TYPE_CHECKING"),
        Taken("importlib", "import_module"),
        Taken("top.room", "sibling"),
        Taken("top.up", "thing"),
        Taken("top.room.later", "helper"),
        Taken("top.room.plain", EVERYTHING),
        Taken("top.room.family", SUBMODULES),
    }


def test_a_package_counts_what_it_shows_to_type_checkers(tmp_path: Path) -> None:
    package = write(tmp_path / "__init__.py", SOURCE, "top.room")
    assert Taken("top.room.types", "OnlyAType") in package.imports
    assert package.bound["OnlyAType"] == Taken("top.room.types", "OnlyAType")
    assert package.bound["renamed"] == Taken("top.up", "thing")


def test_names_and_strings(module: Module) -> None:
    assert {"LIMIT", "FILE", "Thing", "work"} <= module.defined
    assert "kernel.cpp" in module.strings
    assert not {"Module.", "Doc.", "Note."} & module.strings


def test_comments_layout_and_docstrings_are_no_code(module: Module, tmp_path: Path) -> None:
    other = (
        SOURCE.replace("Doc.", "Other.").replace("Note.", "Others.").replace("LIMIT: int = 3", "LIMIT:  int = (3)  # x")
    )
    assert write(tmp_path / "same.py", other).code == module.code
    assert write(tmp_path / "changed.py", SOURCE.replace("size: int = 0", "size: int = 1")).code != module.code
