"""The tree as a package: what the wheel holds and does, which room may import which, no folder imported bare."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sparsebench.models.errors import EXTRAS
from sparsebench.reports.page.html import unpack

from .built_wheel import BESIDE, FOLDERS, ROOT, SPEED, WEIGHTS, environment_with, tracked

RECORDS = "reports/results"
SHIPPED = (".py", ".toml", ".yaml", ".csv", ".jinja", ".css", ".js", ".ini", ".typed")
OTHER_NAMES = {"pillow": "PIL", "pyyaml": "yaml", "scikit-learn": "sklearn"}
"""Distributions that are imported by another name."""
CARRIED = {"certifi", "httpx2", "markdown_it", "tokenizers"}
"""What unearth, rich and transformers are made of."""
USERS_OWN = {"peft", "triton"}
"""What is imported where the user has it."""


def in_package(path: Path) -> str:
    """Where the wheel has a file of the tree."""
    return f"sparsebench/{'speed' / path.relative_to(SPEED) if path.is_relative_to(SPEED) else path}"


@pytest.fixture(scope="module")
def wheel(wheel_file: Path) -> list[str]:
    """Names inside the wheel."""
    return zipfile.ZipFile(wheel_file).namelist()


def test_the_wheel_holds_every_file_of_the_four_folders_and_the_speed_cells(wheel: list[str]) -> None:
    shipped = [path for path in tracked() if path.suffix in SHIPPED and path.name not in BESIDE]
    assert {in_package(path) for path in shipped if not path.is_relative_to(RECORDS)} - set(wheel) == set()
    assert "sparsebench/suites/runner/cli/app.py" in wheel


def test_the_weights_are_a_wheel_of_their_own(wheel: list[str], weights_wheel: Path) -> None:
    held = [name for name in zipfile.ZipFile(weights_wheel).namelist() if ".dist-info/" not in name]
    trained = [path for path in tracked() if path.parts[0] == WEIGHTS and path.parts[2:3] == ("weights",)]
    assert sorted(held) == sorted(map(in_package, trained))
    assert sum(name.endswith(".safetensors") for name in held) >= 14
    assert not set(held) & set(wheel) and not any(name.endswith(".safetensors") for name in wheel)


def test_the_wheel_describes_itself(wheel_file: Path) -> None:
    with zipfile.ZipFile(wheel_file) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        about, _, description = archive.read(name).decode().partition("\n\n")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\nVersion: {version}\n" in about and "\nAuthor: " in about and "\nClassifier: " in about
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert "## Install" in description and "<picture>" not in description
    assert {link[:8] for link in re.findall(r"\]\(([^)]*)\)", description)} == {"https://"}


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    packages = [name for name in wheel if ".dist-info/" not in name]
    assert all(name.startswith(tuple(f"sparsebench/{folder}/" for folder in (*FOLDERS, "speed"))) for name in packages)
    assert not any(name.startswith(f"sparsebench/{RECORDS}/") or "/tests/" in name for name in packages)


@pytest.fixture(scope="module")
def installed(wheel_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, which sees what this one has installed, but not the tree."""
    return environment_with(tmp_path_factory.mktemp("environment"), wheel_file)


def test_speed_cells_run_from_the_wheel_and_come_to_the_page(installed: Path, tmp_path: Path) -> None:
    """In a folder outside the tree, by the cheapest of the cells."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {"COLUMNS": "200"}

    def call(*arguments: str) -> str:
        command = [str(installed / "sparsebench"), *arguments]
        done = subprocess.run(command, cwd=tmp_path, env=inherited, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    assert "half the units" in call("speed", "--only", "sparse_adapter", "--out", "mine")
    written = json.loads((tmp_path / "mine" / "speed.json").read_bytes())
    assert {run["fullname"].partition("::")[0] for run in written["benchmarks"]} == {"test_sparse_adapter_speed.py"}
    assert (len(written["benchmarks"]), written["failed"]) == (12, [])
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    assert call("report", "mine").splitlines()[1:] == ["report: mine/report/index.html"]
    (speed,) = unpack((tmp_path / "mine" / "report" / "index.html").read_text())["sheets"]
    assert speed["id"] == "speed", "no provenance of records, of which there are none"
    assert "bottleneck forward and backward" in str(speed)


def test_the_rooms_import_only_what_they_may() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    if not lint.exists():
        pytest.fail("import-linter is not installed: `make setup` does it")
    done = subprocess.run([str(lint), "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_no_folder_is_imported_by_its_bare_name() -> None:
    for path in ROOT.glob("**/*.py"):
        if any(part.startswith((".venv", ".typing")) for part in path.parts):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module or ""]
            assert not {name.partition(".")[0] for name in names} & set(FOLDERS), path


def test_the_lock_file_pins_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = list(project["dependencies"])
    for extra in project["optional-dependencies"].values():
        needed += extra
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    pinned = dict(line.split("==") for line in lines if not line.startswith("#"))
    versions = {canonicalize_name(name): version for name, version in pinned.items()}
    for text in needed:
        wanted = Requirement(text)
        if not wanted.name.startswith(project["name"]):
            assert versions[canonicalize_name(wanted.name)] in wanted.specifier, text


def imported_by(requirements: list[str]) -> set[str]:
    names = [canonicalize_name(Requirement(text).name) for text in requirements]
    return {OTHER_NAMES.get(name, name.replace("-", "_")) for name in names} - {"sparsebench"}


def test_each_extra_brings_what_errors_say_of_it() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    base = imported_by(project["dependencies"])
    for name in ("bench", "llm", "vision", "molecules", "ray"):
        said = {package for package, extra in EXTRAS.items() if extra == name}
        assert said <= imported_by(extras[name]), name
        assert not said & base
    assert set().union(*(imported_by(extras[name]) for name in set(EXTRAS.values()))) - base - set(EXTRAS) <= {
        "pytest_benchmark",
        "pytest_timeout",
    }
    (everything,) = map(Requirement, extras["all"])
    assert set(EXTRAS.values()) < everything.extras
    assert everything.extras - {"weights"} < next(iter(map(Requirement, extras["dev"]))).extras | {"speed"}


CONDA_NAMES = {
    "huggingface-hub": "huggingface_hub",
    "torch": "pytorch",
    "torch-geometric": "pytorch_geometric",
}


def test_the_recipe_for_conda_needs_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base, bench = yaml.safe_load((ROOT / ".github" / "conda" / "recipe.yaml").read_text())["outputs"]

    def wanted(texts: list[str]) -> set[str]:
        pairs = ((canonicalize_name(Requirement(text).name), str(Requirement(text).specifier)) for text in texts)
        return {f"{CONDA_NAMES.get(name, name)} {bound}" for name, bound in pairs}

    assert wanted(project["dependencies"]) | {"python >=3.11"} == set(base["requirements"]["run"])
    extras = project["optional-dependencies"]
    texts = [text for name in ("bench", "llm", "vision", "molecules") for text in extras[name]]
    assert wanted(texts) == set(bench["requirements"]["run"][1:])


def outside(path: Path) -> dict[str, bool]:
    """The packages of others that a file imports, and whether each of these stands bare at the top of the file."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found: dict[str, bool] = {}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in (name.partition(".")[0] for name in names):
            if name not in sys.stdlib_module_names | {"sparsebench"}:
                found[name] = found.get(name, False) or node in tree.body
    return found


MOLECULES = ("models/graphsgpt", "models/molecules/minimol")
"""Rooms whose faces say what they need."""


def test_what_is_imported_is_declared_and_models_need_the_base_alone() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    base = imported_by(project["dependencies"])
    bare: dict[str, list[str]] = {}
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            place = path.relative_to(ROOT)
            for name, at_the_top in outside(path).items():
                assert name in base | EXTRAS.keys() | CARRIED | USERS_OWN, (place, name)
                if at_the_top and name in EXTRAS and not str(place).startswith(MOLECULES):
                    bare.setdefault(folder, []).append(f"{place}: {name}")
    assert "models" not in bare, bare["models"]
    assert bare["suites"]


def test_the_workflow_and_the_hooks_call_what_there_is() -> None:
    workflow = yaml.safe_load((ROOT / ".github/workflows/check.yml").read_text())
    steps = [step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"]]
    targets = set(re.findall(r"^(\S+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    called = {words[1] for words in map(str.split, steps) if words[:1] == ["make"]}
    assert len(called) >= 3
    assert called <= targets
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]
    programs = [Path(hook["entry"].split()[0]).name for hook in hooks]
    assert all(Path(sys.executable).with_name(program).exists() for program in programs)
