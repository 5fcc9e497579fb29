"""A package as it is written: found by name, its own test passes, and what cannot be is refused."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery import registry
from sparsebench.suites.runner.discovery.registry import called, entries, plugin_problems
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.new.writing import KINDS, commands, write_package
from sparsebench.suites.runner.show.describe import describe

PACKAGES = (("method", "vtab"), ("router", "vtab"), ("adapter", "vtab"), ("task", "vtab"), ("task", "molecules"))


def installed(folder: Path) -> Path:
    """The folder with what pip writes of the project in it."""
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    about = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    lines: list[str] = []
    for group, points in project["entry-points"].items():
        lines += [f"[{group}]", *(f"{name} = {module}" for name, module in points.items())]
    (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
    return folder


@pytest.fixture
def packages(tmp_path: Path) -> list[Path]:
    """One of each kind."""
    names = [(kind, f"my{kind}_{suite[0]}", suite) for kind, suite in PACKAGES]
    return [installed(write_package(kind, name, tmp_path / name, suite)) for kind, name, suite in names]


def forget() -> None:
    registry.entries.cache_clear()
    registry.broken_plugins.cache_clear()


def test_what_is_written_is_listed_and_shown(packages: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in packages:
        monkeypatch.syspath_prepend(folder)
    forget()
    try:
        assert plugin_problems() == []
        assert {"mymethod_v", "myrouter_v_moe", "myadapter_v"} <= entries("method").keys()
        assert "myrouter_v" in entries("router") and "mytask_m" in entries("task", "molecules")
        assert [entry.kind for entry in called("myrouter_v")] == ["router"]
        assert "    blocks = 2    [int]\n        How many of the last blocks" in describe("mymethod_v")
        assert "cosine of a token and a row for each expert" in describe("myrouter_v")
    finally:
        forget()
    for folder in packages:
        files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
        assert {"README.md", "pyproject.toml", f"{folder.name}.py", f"tests/test_{folder.name}.py"} <= set(files)


def test_their_own_tests_pass(packages: list[Path], tmp_path: Path) -> None:
    path = os.pathsep.join(map(str, packages))
    environment = {**os.environ, "PYTHONPATH": path, "SPARSEBENCH_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", *packages]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-3000:]


def test_an_editable_module_is_found_beside_its_folder(tmp_path: Path) -> None:
    """Where `new` was called lies a folder of the module's name, and `python -m pytest` looks there first."""
    folder = write_package("method", "my_shift", tmp_path / "my_shift", "vtab")
    build = "import sys; from setuptools.build_meta import build_editable; build_editable(sys.argv[1])"
    subprocess.run([sys.executable, "-c", build, str(tmp_path)], cwd=folder, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "site", "zip")
    find = "import site, sys; site.addsitedir(sys.argv[1]); import my_shift; print(my_shift.__file__)"
    command = [sys.executable, "-c", find, str(tmp_path / "site")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(folder / "my_shift.py")


def test_it_is_tidy(packages: list[Path]) -> None:
    """As our own code is, but for what a test or a stranger's imports may look like."""
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.fail("ruff is not installed: `make setup` does it")
    settings = ["--config", str(Path(__file__).parents[4] / "pyproject.toml"), "--no-cache"]
    checks = ([ruff, "check", *settings, "--ignore", "D103,I001"], [ruff, "format", "--check", *settings])
    for check in checks:
        done = subprocess.run([*check, *packages], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("kind", "name", "suite", "message"),
    [
        ("methd", "mine", "vtab", "no template of a 'methd'; did you mean method"),
        ("method", "My-Method", "vtab", "must be small letters, digits and single underscores, as my_method"),
        ("method", "class", "vtab", "must be small letters"),
        ("method", "../mine", "vtab", "must be small letters"),
        ("router", "torch", "vtab", "a Python module 'torch' is installed already"),
        ("method", "lora", "vtab", "there is a method 'lora' already"),
        ("router", "glu", "vtab", "there is a router 'glu' already"),
        ("task", "freesolv", "molecules", "there is a task 'freesolv' already"),
        ("task", "mine", "llm", "no template of a task in 'llm': texts of yours are the task own_text"),
        ("task", "mine", "vtap", "there is no such suite; did you mean vtab"),
    ],
)
def test_what_cannot_be(kind: str, name: str, suite: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=message):
        write_package(kind, name, tmp_path / "new", suite)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    with pytest.raises(UsageError, match="mine is there already: name a new folder"):
        write_package("method", "mine", tmp_path / "mine", "vtab")
    with pytest.raises(UsageError, match="no folder"):
        write_package("method", "mine", tmp_path / "nowhere" / "mine", "vtab")
    assert [path.name for path in tmp_path.iterdir()] == ["mine"] and not list((tmp_path / "mine").iterdir())


def test_what_to_do_next() -> None:
    for kind in KINDS:
        text = commands(kind, "mine", Path("mine"), "vtab")
        assert text.splitlines()[0] == "pip install --no-deps --editable mine"
    assert commands("router", "mine", Path("x"), "vtab").endswith("--method mine_moe")
    assert "python -m pytest 'a b'" in commands("router", "mine", Path("a b"), "vtab")
