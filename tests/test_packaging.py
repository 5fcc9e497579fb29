"""The tree as a package: what the wheel holds, which room may import which, and that no folder is imported bare."""

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "data", "suites", "reports")
SHIPPED = (".py", ".toml", ".yaml", ".csv", ".jinja", ".css", ".safetensors", ".typed")


def tracked() -> list[Path]:
    listed = subprocess.run(["git", "-C", str(ROOT), "ls-files", *FOLDERS], capture_output=True, text=True, check=True)
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> list[str]:
    """Names inside a wheel built from a copy of the tracked tree."""
    tree, out = tmp_path_factory.mktemp("tree"), tmp_path_factory.mktemp("wheel")
    for path in [*tracked(), Path("pyproject.toml"), Path("setup.py"), Path("README.md"), Path("LICENSE")]:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes((ROOT / path).read_bytes())
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(out),
    ]
    done = subprocess.run([*pip, str(tree)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return zipfile.ZipFile(built).namelist()


def test_the_wheel_holds_every_file_of_the_four_folders(wheel: list[str]) -> None:
    wanted = {f"sparsebench/{path}" for path in tracked() if path.suffix in SHIPPED and "results" not in path.parts}
    assert wanted - set(wheel) == set()
    assert "sparsebench/suites/runner/cli/app.py" in wheel
    assert "sparsebench/suites/molecules/weights/graphsgpt_small/config.json" in wheel


def test_the_wheel_holds_nothing_else(wheel: list[str]) -> None:
    packages = [name for name in wheel if ".dist-info/" not in name]
    assert all(name.startswith(tuple(f"sparsebench/{folder}/" for folder in FOLDERS)) for name in packages)
    assert not any("/results/" in name or "/tests/" in name for name in packages)


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
