"""A suite of another package has its own tasks, methods and profiles, and is a command; a broken one is named."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparsebench.suites.runner.discovery import further_suites, registry
from sparsebench.suites.runner.discovery.further_suites import read_suites, registered
from sparsebench.suites.runner.discovery.registry import (
    entries,
    is_further,
    methods_of,
    place_of,
    plugin_problems,
    register_suite,
)
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.profile import built_in, load_profile
from sparsebench.suites.runner.show.listing import list_document

from ....packages import Install, installed

SUITE = """
from sparsebench.suites.contracts.suite import Suite

SUITE = Suite(
    name="audio",
    version="1",
    title="Sounds",
    description="Short sounds.",
    baseline="linear_probe",
    unit="second",
    libraries=("numpy",),
)
"""
FOLDERS = {
    "__init__.py": "raise RuntimeError",
    "suite.py": SUITE,
    "tasks/__init__.py": "",
    "tasks/clicks.py": '"""Clicks in noise"""\n',
    "methods/__init__.py": "",
    "methods/loudness.py": '"""Loudness alone"""\n',
    "backbones/spectrum.py": '"""A spectrum"""\nTRAITS = ("features",)\n',
    "profiles/quick.yaml": "{seeds: 1, backbones: [spectrum], methods: [loudness], tasks: [clicks]}",
    "profiles/sounds.yaml": "{seeds: 1, backbones: [spectrum], methods: [loudness], tasks: [clicks]}",
}


def forget() -> None:
    for cached in (registry.suites, registry._further_suites, registry.entries, registry.broken_plugins):
        cached.cache_clear()


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    for folder in ("tasks", "methods", "backbones", "profiles"):
        (tmp_path / "package_of_tests" / folder).mkdir(parents=True)
    monkeypatch.setattr(further_suites, "_registered", {})
    with installed(tmp_path, monkeypatch) as function:
        yield function
    forget()


def points(tmp_path: Path, text: str) -> None:
    (tmp_path / "mine-1.dist-info" / "entry_points.txt").write_text(f"[sparsebench.suites]\n{text}\n")
    forget()


def test_a_suite_of_a_package(install: Install, tmp_path: Path) -> None:
    install(FOLDERS, {})
    points(tmp_path, "audio = package_of_tests")
    assert plugin_problems() == [] and is_further("audio") and not is_further("vtab")
    assert place_of("audio").package == "package_of_tests" and place_of("llm").package == "sparsebench.suites.llm"
    clicks = entries("task", "audio")["clicks"]
    assert (clicks.module, clicks.companions) == ("package_of_tests.tasks.clicks", ("package_of_tests",))
    assert "loudness" in methods_of(["audio"]) and "loudness" not in methods_of(["vtab"])
    (listed,) = list_document(["audio"])["suites"]
    assert listed["title"] == "Sounds" and [backbone["name"] for backbone in listed["backbones"]] == ["spectrum"]
    assert built_in()["sounds"] == ("audio",) and "audio" in built_in()["quick"]
    assert [plan.suite for plan in load_profile("sounds").plans] == ["audio"]
    assert "audio" not in {plan.suite for plan in load_profile("quick").plans}, "ours stays what it was"
    assert [plan.suite for plan in load_profile("quick", ["audio"]).plans] == ["audio"]
    assert "package_of_tests" not in sys.modules
    command = [sys.executable, "-m", "sparsebench.suites.runner", "audio", "list", "tasks"]
    done = subprocess.run(command, env={"PYTHONPATH": str(tmp_path)}, capture_output=True, text=True)
    assert "clicks  Clicks in noise" in done.stdout, done.stderr


def test_a_suite_that_is_registered(install: Install, tmp_path: Path) -> None:
    install(FOLDERS, {})
    assert "audio" not in registry.suites()
    entries("method")  # remembered without it
    for _ in range(2):  # as when a script runs again in a worker
        register_suite("package_of_tests")
    assert registry.suites()["audio"].title == "Sounds" and is_further("audio")
    assert registered() == ("package_of_tests",) and "loudness" in entries("method")
    assert entries("task", "audio")["clicks"].companions == ("package_of_tests",)
    assert "package_of_tests" not in sys.modules
    points(tmp_path, "audio = package_of_tests")
    assert plugin_problems() == ["the suite 'audio' (package_of_tests) cannot be used: the name 'audio' is taken"]


@pytest.mark.parametrize(
    ("suite", "package", "message"),
    [
        (SUITE, "no_such_package_at_all", "there is no such package"),
        (SUITE.replace("audio", "vtab"), "package_of_tests", "'vtab' is taken: sparsebench.suites.vtab has it"),
        (SUITE.replace("audio", "a/b"), "package_of_tests", "'a/b' has more than letters"),
    ],
)
def test_a_suite_that_cannot_be_registered(suite: str, package: str, message: str, install: Install) -> None:
    install({**FOLDERS, "suite.py": suite}, {})
    with pytest.raises(UsageError, match=message):
        register_suite(package)
    assert registered() == () and list(registry.suites()) == ["llm", "molecules", "vtab"]


@pytest.mark.parametrize(
    ("files", "point", "message"),
    [
        ({}, "vtab = package_of_tests", "the name 'vtab' is taken"),
        ({}, "audio = no_such_package_at_all", "there is no such package"),
        ({}, "audio = package_of_tests.suite", "there is no such package"),
        ({}, "sounds = package_of_tests", "its suite.py calls it 'audio'"),
        (
            {"suite.py": SUITE.replace('"1"', "str(1)")},
            "audio = package_of_tests",
            "version of SUITE must be a lit",
        ),
        (
            {"suite.py": SUITE.replace('unit="second",', "")},
            "audio = package_of_tests",
            "missing 1 required .*'unit'",
        ),
        ({"suite.py": ""}, "audio = package_of_tests", r"has no SUITE = Suite\(\.\.\.\)$"),
    ],
)
def test_a_suite_that_cannot_be_used_is_named_and_takes_nothing_down(
    files: dict[str, str], point: str, message: str, install: Install, tmp_path: Path
) -> None:
    install({**FOLDERS, **files}, {})
    points(tmp_path, point)
    (line,) = read_suites(["llm", "molecules", "vtab"]).broken.values()
    with pytest.raises(ValueError, match=message):
        raise ValueError(line)
    assert line in plugin_problems() and "\n" not in line
    assert list(registry.suites()) == ["llm", "molecules", "vtab"]
