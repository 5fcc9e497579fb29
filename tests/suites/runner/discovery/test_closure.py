"""What a score passes through, in small packages written for the purpose and in our own."""

import ast
import sys
from pathlib import Path

import pytest

from sparsebench.data.cache import sha256_of
from sparsebench.suites.runner.discovery.closure import DESCRIBERS, HOME, MEASURED_WITH, Tree, files_below
from sparsebench.suites.runner.discovery.modules import SUBMODULES
from sparsebench.suites.runner.discovery.registry import entries, suites
from sparsebench.suites.runner.identity.fingerprint import source_tree

FOLDERS = ("models", "data", "suites")
DOCUMENTS = (".md", ".typed", ".yaml", ".toml")
"""Profiles and manifests are read by the plan: their content is in the key of a cell."""
RUNNER = HOME / "suites" / "runner"


def ours() -> dict[str, Path]:
    """Our modules that a score may pass through, by name."""
    found = {}
    for folder in FOLDERS:
        for path in sorted((HOME / folder).rglob("*.py")):
            if RUNNER not in path.parents:
                name = ".".join(["sparsebench", *path.relative_to(HOME).with_suffix("").parts])
                found[name.removesuffix(".__init__")] = path
    return found


OURS = ours()


@pytest.fixture
def package(tmp_path: Path, monkeypatch) -> Path:
    """A package `outside`, which Python would find."""
    folder = tmp_path / "outside"
    write(folder, "__init__", "raise RuntimeError('this is never run')")
    monkeypatch.syspath_prepend(tmp_path)
    return folder


def write(folder: Path, name: str, text: str = "") -> None:
    path = folder.joinpath(*name.split(".")).with_suffix(".py")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def reached(*roots: str) -> set[str]:
    return {module.name.removeprefix("outside.") for module in Tree().closure(roots)}


def test_helpers_are_followed_without_running_anything(package: Path) -> None:
    write(package, "method", "from .helper import help\nimport torch")
    write(package, "helper", "def help():\n    from .deep.inner import work")
    write(package, "deep.__init__")
    write(package, "deep.inner")
    write(package, "other")
    assert reached("outside.method") == {"outside", "method", "helper", "deep", "deep.inner"}
    assert "outside" not in sys.modules


def test_a_face_counts_itself_and_the_names_that_are_taken(package: Path) -> None:
    write(package, "face.__init__", "from .one import First\nfrom .two import Second\nLIMIT = 1")
    write(package, "face.one", "from .below import x")
    write(package, "face.two")
    write(package, "face.below")
    write(package, "first", "from .face import First")
    write(package, "module", "from .face.below import x")
    write(package, "child", "from .face import below")
    write(package, "own", "from .face import LIMIT")
    write(package, "whole", "from . import face")
    around = {"outside", "face"}
    assert reached("outside.first") == around | {"first", "face.one", "face.below"}
    assert reached("outside.module") == around | {"module", "face.below"}
    assert reached("outside.child") == around | {"child", "face.below"}
    assert reached("outside.own") == around | {"own", "face.one", "face.two", "face.below"}
    assert reached("outside.whole") == around | {"whole", "face.one", "face.two", "face.below"}


def test_a_name_that_comes_later_is_followed_where_the_face_says_it_comes_from(package: Path) -> None:
    lazy = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .one import First\ndef __getattr__(name): ..."
    write(package, "face.__init__", lazy)
    write(package, "face.one")
    write(package, "face.two")
    write(package, "known", "from .face import First")
    write(package, "unknown", "from .face import Third")
    assert reached("outside.known") == {"outside", "face", "known", "face.one"}
    assert reached("outside.unknown") == {"outside", "face", "unknown", "face.one", "face.two"}


def test_an_import_by_a_computed_name_counts_the_whole_package(package: Path) -> None:
    write(package, "method", "from importlib import import_module\nimport_module(f'.kinds.{1}', __package__)")
    write(package, "kinds.__init__")
    write(package, "kinds.one")
    write(package, "kinds.two")
    assert reached("outside.method") == {"outside", "method", "kinds", "kinds.one", "kinds.two"}


def test_circles_and_packages_without_a_face_end(package: Path) -> None:
    write(package, "method", "from . import method, space\nfrom .space import part\nfrom .space import nothing")
    write(package, "space.part", "from ..method import x")
    assert reached("outside.method") == {"outside", "method", "space.part"}


def test_data_that_a_module_names(package: Path) -> None:
    write(package, "method", "TABLE = 'table.csv'\nNO_FILE = 'nothing.csv'\nOWN = 'method.py'")
    for name in ("deep/table.csv", "other.csv"):
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text("1,2")
    tree = Tree()
    found = [path for module in tree.closure(["outside.method"]) for path in tree.data(module)]
    assert found == [package / "deep" / "table.csv"]


def test_hidden_files_and_caches_are_no_data(tmp_path: Path) -> None:
    for name in ("a/x.bin", "b.bin", ".git/config", "a/.hidden", "__pycache__/c.pyc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    assert [str(path.relative_to(tmp_path)) for path in files_below(tmp_path)] == ["b.bin", "a/x.bin"]


NAMED_BY_A_FILE = ("models/hub/registration.py", "models/hub/rooms.py")
"""They import the room that a saved model names; a backbone that opens files of users imports these rooms itself."""


def test_a_backbone_that_opens_any_folder_covers_the_rooms_that_a_folder_may_name() -> None:
    names = {module.name for module in source_tree().closure(["sparsebench.suites.llm.backbones.hf"])}
    assert "sparsebench.models.moe.layer" in names
    callers = [path for path in OURS.values() if "register_part(" in path.read_text() and path.name != "parts.py"]
    rooms = {str(path.relative_to(HOME)) for path in callers}
    faces = {f"models/{room}/__init__.py" for room in ("compression", "dynamic", "moe")}
    assert rooms == faces, "hf.py must import it, too"
    assert "sparsebench.models.compression.trimming.experts.saved_form" in names


def test_describers_are_the_only_modules_of_ours_that_are_chosen_at_run_time() -> None:
    computed = set()
    for name, path in OURS.items():
        computed |= {taken.module for taken in source_tree().module(name).imports if taken.name == SUBMODULES}
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
                readable = isinstance(node.args[0], ast.Constant | ast.JoinedStr)
                readable = readable or str(path.relative_to(HOME)) in NAMED_BY_A_FILE
                assert readable or path.name == "__init__.py", f"{path} imports what cannot be read"
    assert computed == {DESCRIBERS}


def test_every_file_of_package_data_is_in_somebodys_identity() -> None:
    """A module states its name, or pins its checksum, which then is part of the module's code."""
    tree = source_tree()
    assert len(OURS) > 300
    named, strings = set(), set()
    for name in OURS:
        module = tree.module(name)
        assert module is not None
        named |= set(tree.data(module))
        strings |= module.strings
    for folder in FOLDERS:
        for path in files_below(HOME / folder):
            if RUNNER in path.parents:  # stands around a score, as its modules do
                continue
            if path.parent == HOME / "suites":  # the project file of the weights and its licence, in no package
                continue
            if path.suffix not in (*DOCUMENTS, ".py") and path not in named:
                pinned = sha256_of(path.with_suffix(".safetensors") if path.suffix == ".json" else path)
                assert pinned in strings, f"nothing would notice a change of {path}"


@pytest.mark.parametrize("suite", suites())
def test_no_task_passes_through_another_suite(suite: str) -> None:
    tree = source_tree()
    others = tuple(f"sparsebench.suites.{other}." for other in suites() if other != suite)
    for task in entries("task", suite).values():
        found = [module.name for module in tree.closure([task.module])]
        assert task.module in found and not any(name.startswith(others) for name in found), task.name


def test_modules_that_measure_are_imported_where_it_is_said_that_they_are() -> None:
    """Else a file that was renamed would stay listed, and be part of the score again without a word."""
    tree = Tree()
    for name, measures in MEASURED_WITH.items():
        module = tree.module(name)
        assert module is not None, name
        assert measures <= {taken.module for taken in module.imports}, name
