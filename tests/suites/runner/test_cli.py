"""Mistakes get one line, exit code 2, and leave nothing behind; the light commands stay light."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparsebench.reports.record import SCHEMA_VERSION
from sparsebench.reports.store import MARKER, Store
from sparsebench.suites.runner import cli

PLUGIN = Path(__file__).parent / "plugin"
GOOD = {"seeds": 1, "backbones": ["tiny"], "methods": ["full_tuning"], "tasks": ["synthetic"]}


@pytest.fixture
def sparsebench(monkeypatch, capsys, tmp_path):
    """Calls the command line in this process; gives exit code, stdout and stderr."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["sparsebench", *arguments])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out, err = capsys.readouterr()
        return int(stop.value.code or 0), out, err

    return call


def write(folder: Path, content: object) -> str:
    path = folder / "mine.yaml"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return str(path)


BAD_PROFILES = {
    "a profile that is a list": ("- quick\n", "must be a mapping"),
    "text that is no YAML": ("llm: [", "not valid YAML"),
    "an unknown suite": ({"molecule": GOOD}, "did you mean molecules?"),
    "a misspelt key": ({"molecules": {**GOOD, "sedes": 3}}, "unknown key 'sedes'; did you mean seeds"),
    "an unknown method": ({"molecules": {**GOOD, "methods": ["ful_tuning"]}}, "did you mean full_tuning, prefix"),
    "an unknown task": ({"molecules": {**GOOD, "tasks": ["sythetic"]}}, "did you mean synthetic, synthetic_gen"),
    "an unknown backbone": ({"molecules": {**GOOD, "backbones": ["tinny"]}}, "did you mean tiny"),
    "a misspelt config key": (
        {"molecules": {**GOOD, "methods": [{"name": "full_tuning", "config": {"learningrate": 1}}]}},
        "did you mean learning_rate?",
    ),
    "a config value of the wrong type": (
        {"molecules": {**GOOD, "methods": [{"name": "full_tuning", "config": {"learning_rate": "fast"}}]}},
        "learning_rate is 'fast'",
    ),
    "a misspelt budget": ({"molecules": {**GOOD, "budget": {"epoch": 3}}}, "did you mean epochs?"),
    "no tasks": ({"molecules": {**GOOD, "tasks": []}}, "'tasks' must be a list"),
    "no seeds": ({"molecules": {**GOOD, "seeds": 0}}, "seeds must be a whole number"),
    "an unknown dtype": ({"molecules": {**GOOD, "dtype": "float23"}}, "did you mean float32"),
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
        assert err.count("\n") == 1
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--profile", "quik"], "did you mean quick"),
        (["run", "--profile", "nowhere.yaml"], "nowhere.yaml: No such file"),
        (["run", "--suite", "vtap"], "did you mean vtab?"),
        (["list", "--suite", "vtap"], "did you mean vtab?"),
        (["vtab", "run", "--method", "linear_prob"], "did you mean linear_probe?"),
        (["run", "--method", "linear_probe"], "need one suite"),
        (["show", "linear_prob"], "did you mean linear_probe"),
        (["check", "linear_prob"], "did you mean linear_probe"),
        (["report", "nowhere"], "no results in nowhere"),
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

    monkeypatch.setattr("sparsebench.reports.store._write", full)
    code, _, err = sparsebench("run", "--profile", "smoke", "--out", str(tmp_path / "out"))
    assert code == 2
    assert "no space left" in err
    assert err.count("\n") == 1


def test_no_network(sparsebench, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "cache"))
    code, _, err = sparsebench("molecules", "prepare", "--profile", "quick")
    assert code == 2
    assert "SPARSEBENCH_OFFLINE" in err
    assert "sparsebench prepare" in err


def test_a_broken_record_is_named_skipped_and_counted(bench) -> None:
    bench.write_profile(toy(["toy_fine"], seeds=2))
    assert bench.call(*bench.run_arguments()).returncode == 0
    first, second = sorted((bench.out / "records").glob("*.json"))
    first.write_bytes(first.read_bytes()[:100])
    report = bench.call("report", str(bench.out))
    assert report.returncode == 0, report.stderr
    assert first.name in report.stdout
    assert "truncated" in report.stdout
    page = (bench.out / "report" / "index.html").read_text()
    assert first.name in page
    again = bench.call(*bench.run_arguments())
    assert "2 cells, 1 to run" in again.stdout
    assert len(Store(bench.out).open().read_all()[0]) == 2
    assert second.exists()


def toy(methods: list, seeds: int) -> dict:
    rows = {"seeds": seeds, "backbones": ["toy_line"], "methods": methods, "tasks": ["toy_sum"]}
    return {"molecules": rows}


def test_light_commands_import_no_torch() -> None:
    code = (
        "import sys; sys.argv = ['sparsebench', {!r}]\n"
        "from sparsebench.suites.runner.cli import app\n"
        "try: app()\n"
        "except SystemExit: pass\n"
        "heavy = {{'torch', 'numpy', 'pandas', 'transformers', 'rdkit', 'scipy', 'matplotlib'}} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for command in ("--help", "list"):
        done = subprocess.run([sys.executable, "-c", code.format(command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert "sparsebench" in done.stdout or "linear_probe" in done.stdout


def test_plugins_appear_in_the_list(bench) -> None:
    listed = bench.call("list", "--suite", "molecules").stdout
    for name in ("toy_fine", "toy_sum", "toy_line"):
        assert name in listed
    assert "Sets all weights to one, after a nap" in listed
    assert "nap = 0.0" in bench.call("show", "toy_fine").stdout


def test_plan_states(bench) -> None:
    bench.write_profile(toy(["toy_fine", "toy_picky", "toy_raise"], seeds=1))
    arguments = ["plan", "--profile", str(bench.folder / "toy.yaml"), "--out", str(bench.out)]
    before = bench.call(*arguments).stdout
    assert "2 missing, 1 n/a" in before
    assert "has no spokes" in before
    bench.call(*bench.run_arguments())
    after = bench.call(*arguments).stdout
    assert "1 done, 1 failed, 1 n/a" in after
