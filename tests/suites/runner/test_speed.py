"""Speed cells, run by pytest in a process of its own; these are cells of toys, which import nothing of ours."""

import json
import os
import shutil
from pathlib import Path

import pytest

from sparsebench.suites.runner import speed
from sparsebench.suites.runner.errors import ExecutorError, UsageError
from sparsebench.suites.runner.speed import choose, run_speed, speed_cells

CELLS = Path(__file__).parents[2] / "speed"
PLUGIN = """
from .targets import register, target

__all__ = ["target"]


def pytest_configure(config):
    register(config)
"""
TIMED = """
def test_short(benchmark, target):
    benchmark.extra_info["role"] = "ours"
    benchmark.pedantic(sum, args=((1, 2),), rounds=5)
    target("times as fast as nothing", 1.5, at_least=2.0)
    target("seconds", 1.5, at_most=2.0)
    target("times as fast as light", 0.5, at_least=2.0, excuse="is at its floor")


def test_broken(benchmark):
    assert benchmark.pedantic(sum, args=((1, 2),), rounds=5) == 4
"""
FILES = {
    "__init__.py": "",
    "conftest.py": PLUGIN,
    "test_timed_speed.py": TIMED,
    "test_no_library_speed.py": "import pytest\n\npytest.importorskip('a_peer_that_is_not_here')\n",
    "test_no_import_speed.py": "import a_module_that_is_not_here\n",
    "test_killed_speed.py": "import os\n\n\ndef test_killed(benchmark):\n    os.kill(os.getpid(), 9)\n",
}


@pytest.fixture
def cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """The toys as the speed cells of the installation."""
    folder = tmp_path / "site" / "sparsebench" / "speed"
    folder.mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    for name in ("targets.py", "pytest.ini"):
        shutil.copy(CELLS / name, folder)
    monkeypatch.syspath_prepend(tmp_path / "site")
    return speed_cells()


def test_cells_are_known_by_their_files(cells: dict[str, Path]) -> None:
    assert list(cells) == ["killed", "no_import", "no_library", "timed"]
    assert choose(["timed"]) == [cells["timed"]]
    assert choose([]) == list(cells.values())
    with pytest.raises(UsageError, match="'timd'; did you mean timed"):
        choose(["timd"])
    with pytest.raises(UsageError, match="'x'; known: killed, no_import, no_library, timed"):
        choose(["x"])


def test_what_falls_short_or_fails_stops_nothing(
    cells: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor does a file that cannot be imported, or what the environment says to another pytest."""
    monkeypatch.setenv("PYTEST_ADDOPTS", "-k nothing")
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw0")
    found = run_speed(tmp_path / "out", choose(["timed", "no_import", "no_library"]))
    assert found is not None
    assert (len(found.lines), found.targets, len(found.short)) == (2, 3, 2)
    assert [name.rpartition("/")[2] for name in found.failed] == [
        "test_no_import_speed.py",
        "test_timed_speed.py::test_broken",
    ]
    written = json.loads((tmp_path / "out" / "speed.json").read_bytes())
    assert [target["met"] for target in written["targets"]] == [False, True, False]
    assert written["seconds"] > 0


def test_asked_for_the_targets_fail(cells: dict[str, Path], tmp_path: Path) -> None:
    found = run_speed(tmp_path / "out", [cells["timed"]], check=True)
    assert found is not None
    assert [name.rpartition("::")[2] for name in found.failed] == ["test_short", "test_broken"]


@pytest.mark.parametrize("name", ["no_library", "killed"])
def test_without_figures_the_earlier_ones_stay(
    cells: dict[str, Path], tmp_path: Path, name: str, capfd: pytest.CaptureFixture
) -> None:
    """A peer that is not installed is named; a process that dies is an error."""
    out = tmp_path / "out"
    out.mkdir()
    (out / "speed.json").write_text("earlier")
    if name == "killed":
        with pytest.raises(ExecutorError, match="exit code -9; no speed run was written"):
            run_speed(out, [cells[name]])
    else:
        assert run_speed(out, [cells[name]]) is None
        assert "a_peer_that_is_not_here" in capfd.readouterr().out
    assert (out / "speed.json").read_text() == "earlier"
    assert [path.name for path in out.iterdir() if path.name.startswith(".")] == []


def test_the_line_of_pip_for_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(speed.NEEDED, "a_plugin_that_is_not_here", "a-plugin")
    with pytest.raises(UsageError, match=r"^speed cells need a-plugin: pip install 'sparsebench\[speed\]'$"):
        run_speed(tmp_path / "out", [])
    assert not (tmp_path / "out").exists()


def test_cells_are_asked_for_by_the_environment() -> None:
    """`scope.py` and `targets.py` read it; what is there already stays."""
    for full, check in ((True, False), (False, True)):
        asked = speed._environment(full, check)
        assert {name: asked[name] for name in asked if asked[name] != os.environ.get(name)} == (
            {"SPARSEBENCH_SPEED": "full"} if full else {"SPARSEBENCH_SPEED_CHECK": "1"}
        )
