"""Mistakes get one line and exit code 2 (`tests/faults/verbs` has them all); the light commands stay light."""

import importlib
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sparsebench.suites.runner.errors import UsageError


def mistakes(err: str) -> list[str]:
    """The lines of stderr but the one that says at once what a command is about."""
    return [line for line in err.splitlines() if not line.startswith("planning ")]


def test_no_space_left(sparsebench, tmp_path: Path, monkeypatch) -> None:
    def full(*arguments, **keywords):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparsebench.reports.records.store.write_whole", full)
    code, _, err = sparsebench("run", "--profile", "smoke", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "no space left" in err
    assert len(mistakes(err)) == 1


def test_no_network(sparsebench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    code, _, err = sparsebench("molecules", "prepare", "--profile", "quick")
    assert code == 2
    assert "SPARSEBENCH_OFFLINE" in err
    assert "sparsebench prepare" in err


def test_light_commands_import_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['sparsebench', *{!r}.split()]\n"
        "from sparsebench.suites.runner.cli.app import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {{'torch', 'numpy', 'pandas', 'transformers', 'rdkit', 'scipy', 'matplotlib'}} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for command in ("--help", "list", "compress --help", "speed --help"):
        done = subprocess.run([sys.executable, "-c", code.format(command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert any(word in done.stdout for word in ("sparsebench", "linear_probe", "--keep-experts", "--only"))


def test_without_the_extra_bench_there_is_one_line() -> None:
    code = "import sys; sys.modules['pydantic'] = None; sys.argv = ['sparsebench', 'report', '.']\n"
    code += "from sparsebench.suites.runner.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1] == "sparsebench: pydantic is not installed: pip install 'sparsebench[bench]'"


HELP = """
import contextlib, io, sys
from typer.main import get_command
from sparsebench.suites.runner.cli.app import app

def helps(group, words):
    for name, command in group.commands.items():
        yield [*words, name]
        yield from helps(command, [*words, name]) if hasattr(command, "commands") else ()

found = [[], *helps(get_command(app), [])]
for words in found:
    said = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(said):
        app([*words, "--help"])
    assert "Usage:" in said.getvalue(), words
print(len(found))
print(*sorted(sys.modules))
"""
HEAVY = {"torch", "numpy", "pandas", "transformers", "rdkit", "scipy", "sklearn", "pyarrow", "matplotlib", "yaml"}
HEAVY |= {"pydantic", "asyncio", "sqlite3", "ssl"}
LIGHT = {"record_limits", "store_errors", "visible"}
"""All that help may import of what keeps results."""


def test_help_imports_little() -> None:
    """Each `--help` takes at most 0.3 s of CPU: what that bounds is the imports, of typer (pydantic) and ours."""
    done = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    count, imported = done.stdout.splitlines()
    modules = imported.split()
    assert int(count) > 30
    assert not HEAVY & set(modules)
    results = {name.removeprefix("sparsebench.reports.records.") for name in modules if "sparsebench.reports." in name}
    assert results == {"sparsebench.reports.records", *LIGHT}


def test_the_version_is_that_of_the_installed_package(sparsebench) -> None:
    assert sparsebench("--version") == (0, f"{version('sparsebench')}\n", "")


def test_the_exit_codes_are_in_the_help(sparsebench) -> None:
    _, out, _ = sparsebench("--help")
    assert "Exit codes: 0 done; 1 a cell has no score" in " ".join(out.split())


def test_a_reader_that_goes_away_is_no_error(bench) -> None:
    """`| head`: the pipe is closed before all is written."""
    done = subprocess.run(
        ["bash", "-c", f"{shlex.join(bench.command('list'))} | head -1; exit ${{PIPESTATUS[0]}}"],
        env={**bench.environment, "PYTHONUNBUFFERED": "1"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "methods:\n"
    assert done.stderr == ""
    assert done.returncode in (0, 1)  # whether the whole list fits into the pipe is up to the system


def test_escape_codes_in_an_error_are_written_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def fail(**_: object) -> None:
        raise UsageError("no such row: \x1b]0;title\x07")

    module = importlib.import_module("sparsebench.suites.runner.cli.app")
    monkeypatch.setattr(module, "app", fail)
    with pytest.raises(SystemExit):
        module.main()
    assert capsys.readouterr().err == "sparsebench: no such row: \\x1b]0;title\\x07\n"
