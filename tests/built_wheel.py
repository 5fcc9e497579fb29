"""The wheels of the tracked tree, and an environment that holds them and nothing of the tree."""

import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("models", "data", "suites", "reports")
SPEED = "tests/speed"
"""The tests that are in the wheel, too."""
BESIDE = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
WEIGHTS = "suites"
"""The folder of the project of the weights, a distribution of their own."""
PIP = '#!/bin/sh\nexec python -m pip "$@"\n'


def tracked() -> list[Path]:
    """Files of the four folders and the speed cells, relative to the root."""
    ls_files = ["git", "-C", str(ROOT), "ls-files", *FOLDERS, SPEED]
    listed = subprocess.run(ls_files, capture_output=True, text=True, check=True)
    return [Path(line) for line in listed.stdout.splitlines() if (ROOT / line).exists()]


def build_wheel(folder: Path, project: str = ".") -> Path:
    """A wheel in `folder`, built from a copy of the tracked tree there; `project` is where its pyproject.toml is."""
    for path in [*tracked(), *map(Path, BESIDE)]:
        copy = folder / "tree" / path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes((ROOT / path).read_bytes())
    pip = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    places = ["--wheel-dir", str(folder), str(folder / "tree" / project)]
    done = subprocess.run([*pip, *places], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = folder.glob("*.whl")
    return built


def environment_with(folder: Path, *wheels: Path) -> Path:
    """The folder of the programs of a new environment in `folder` that holds the wheels.

    Dependencies, pip too, are those of this environment: its folder is on the path, but the `.pth` files in it, which
    would put the tree there, are not read.
    """
    venv.create(folder, symlinks=True)
    scheme = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", vars=scheme))
    here = {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}
    (site / "dependencies.pth").write_text("".join(f"{place}\n" for place in sorted(here)))
    programs = Path(sysconfig.get_path("scripts", vars=scheme))
    (programs / "pip").write_text(PIP)
    (programs / "pip").chmod(0o755)
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--ignore-installed", *map(str, wheels)]
    done = subprocess.run([str(programs / "python"), *install], capture_output=True, text=True, cwd=folder)
    assert done.returncode == 0, done.stderr
    return programs
