"""Mistakes get one line, exit code 2, and leave nothing behind; the light commands stay light."""

import importlib
import json
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from sparsebench.reports.records.record import SCHEMA_VERSION
from sparsebench.reports.records.store import MARKER
from sparsebench.suites.runner.errors import UsageError

GOOD = {"seeds": 1, "backbones": ["tiny"], "methods": ["full_tuning"], "tasks": ["synthetic"]}


def mistakes(err: str) -> list[str]:
    """The lines of stderr but the one that says at once what a command is about."""
    return [line for line in err.splitlines() if not line.startswith("planning ")]


def write(folder: Path, content: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


BAD_PROFILES = {
    "an unknown suite": ({"molecule": GOOD}, "did you mean molecules?"),
    "a misspelt key": ({"molecules": {**GOOD, "sedes": 3}}, "unknown key 'sedes'; did you mean seeds"),
    "an unknown method": ({"molecules": {**GOOD, "methods": ["ful_tuning"]}}, "did you mean full_tuning, prefix"),
    "an unknown task": ({"molecules": {**GOOD, "tasks": ["sythetic"]}}, "did you mean synthetic, synthetic_gen"),
    "an unknown backbone": ({"molecules": {**GOOD, "backbones": ["tinny"]}}, "did you mean tiny"),
    "a misspelt config key": (
        {"molecules": {**GOOD, "methods": [{"name": "full_tuning", "config": {"learningrate": 1}}]}},
        "did you mean learning_rate?",
    ),
    "a misspelt budget": ({"molecules": {**GOOD, "budget": {"epoch": 3}}}, "did you mean epochs?"),
    "no tasks": ({"molecules": {**GOOD, "tasks": []}}, "'tasks' must be a list"),
    "no seeds": ({"molecules": {**GOOD, "seeds": 0}}, "seeds must be a whole number"),
    "an unknown dtype": ({"molecules": {**GOOD, "dtype": "float23"}}, "did you mean float32"),
    "seeds that are no number": ({"molecules": {**GOOD, "seeds": True}}, "seeds must be a whole number"),
    "a time limit that is none": ({"molecules": {**GOOD, "timeout": True}}, "timeout must be a number of seconds"),
    "a time limit that never ends": ("molecules: {timeout: .nan}", "nan is no finite number"),
    "a suite that is a number": ("3: {}", "a key: must be a text, not 3"),
    "a mapping as a backbone": ({"molecules": {**GOOD, "backbones": [{"a": 1}]}}, "backbones: must be a text"),
    "a number for a list of rows": (
        {"molecules": {**GOOD, "tasks": [{"name": "synthetic", "rows": 3}]}},
        "tasks, rows: must be a list, not 3",
    ),
    "a number for a list of backbones": (
        {"molecules": {**GOOD, "methods": [{"name": "full_tuning", "backbones": 3}]}},
        "methods, backbones: must be a list, not 3",
    ),
    "a number for the claims": ({"molecules": {**GOOD, "claims": 3}}, "claims: must be a list, not 3"),
    "a task of another suite": ({"molecules": {**GOOD, "tasks": ["digits"]}}, "unknown task 'digits'"),
    "a task twice": (
        {"molecules": {**GOOD, "tasks": ["synthetic", "synthetic"]}},
        "synthetic of the row 'full_tuning' stands twice",
    ),
    "a backbone twice": ({"molecules": {**GOOD, "backbones": ["tiny", "tiny"]}}, "tiny stands twice"),
    "a truth for a number": ({"molecules": {**GOOD, "budget": {"epochs": True}}}, "epochs is True: it must be"),
    "one label twice": ({"molecules": {**GOOD, "methods": ["full_tuning", "full_tuning"]}}, "two rows have the label"),
}


@pytest.mark.parametrize("name", BAD_PROFILES)
def test_bad_profiles(sparsebench, tmp_path: Path, name: str) -> None:
    content, message = BAD_PROFILES[name]
    profile = write(tmp_path, content)
    for command in ("plan", "run"):
        code, _, err = sparsebench(command, "--profile", profile, "--out", str(tmp_path / "out"))
        assert code == 2
        assert message in err
        assert len(mistakes(err)) == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--profile", "quik"], "did you mean quick"),
        (["run", "--profile", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["run", "--suite", "vtap"], "did you mean vtab?"),
        (["list", "--suite", "vtap"], "did you mean vtab?"),
        (["vtab", "run", "--method", "linear_prob"], "did you mean linear_probe"),
        (["run", "--method", "linear_prob"], "no suite of the profile has the method"),
        (["show", "linear_prob"], "did you mean linear_probe"),
        (["check", "linear_prob"], "did you mean linear_probe"),
        (["report", "nowhere"], "no results in nowhere"),
        (["plan", "--device", "gpu"], "must be auto, cpu, cuda or cuda:N; did you mean cpu?"),
        (["plan", "--dtype", "float23"], "did you mean float32"),
        (["plan", "--set", "method.rnak=8"], "no row has an option 'rnak'; did you mean rank?"),
        (["plan", "--set", "rank"], "write KEY=VALUE"),
    ],
)
def test_bad_words(sparsebench, tmp_path: Path, arguments: list[str], message: str) -> None:
    before = sorted(tmp_path.iterdir())
    code, _, err = sparsebench(*arguments)
    assert code == 2
    assert message in err
    assert sorted(tmp_path.iterdir()) == before


def test_a_result_folder_of_a_newer_schema(sparsebench, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MARKER).write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1}))
    for command in (["run", "--profile", "smoke", "--out"], ["report"]):
        code, _, err = sparsebench(*command, str(tmp_path / "out"))
        assert code == 2
        assert "upgrade" in err
    assert [path.name for path in (tmp_path / "out").iterdir()] == [MARKER]


def test_an_output_folder_that_cannot_be_written(sparsebench, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    code, _, err = sparsebench("run", "--profile", "smoke", "--out", str(tmp_path / "file" / "out"))
    assert code == 2
    assert "choose another folder with --out" in err


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
    for command in ("--help", "list", "compress --help"):
        done = subprocess.run([sys.executable, "-c", code.format(command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert any(word in done.stdout for word in ("sparsebench", "linear_probe", "--keep-experts"))


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
