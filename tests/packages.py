"""A Python distribution with entry points, put on the path without pip."""

import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

Install = Callable[[Mapping[str, str], Mapping[str, str]], None]


@contextmanager
def installed(folder: Path, monkeypatch: pytest.MonkeyPatch, package: str = "package_of_tests") -> Iterator[Install]:
    """Gives `install(files, points)`: files of the package by name, and "group:name" to the module of an entry point.

    The distribution is called `mine`, version 1. What was imported of it is forgotten at the end.
    """

    def install(files: Mapping[str, str], points: Mapping[str, str]) -> None:
        (folder / package).mkdir(exist_ok=True)
        for name, text in {"__init__.py": "", **files}.items():
            (folder / package / name).write_text(text)
        about = folder / "mine-1.dist-info"
        about.mkdir(exist_ok=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1\n")
        lines: list[str] = []
        for point, module in points.items():
            group, _, name = point.partition(":")
            lines += [f"[sparsebench.{group}]", f"{name} = {package}.{module}"]
        (about / "entry_points.txt").write_text("\n".join(lines) + "\n")
        monkeypatch.syspath_prepend(folder)

    yield install
    for name in [name for name in sys.modules if name.partition(".")[0] == package]:
        del sys.modules[name]
