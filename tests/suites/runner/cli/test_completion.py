"""Completion of values, by the protocol that shells use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "import sys\n"
    "from sparsebench.suites.runner.cli.app import app\n"
    "try: app(prog_name='sparsebench')\n"
    "except SystemExit: pass\n"
    "sys.stderr.write(repr({'torch', 'numpy', 'pandas', 'transformers', 'rdkit', 'scipy'} & set(sys.modules)))"
)


def complete(line: str, folder: Path | None = None) -> list[str]:
    """What bash would offer for the last word of a line; nothing heavy may be imported for it."""
    environment = {
        **os.environ,
        "_SPARSEBENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(line.split(" ")) - 1),
    }
    done = subprocess.run(
        [sys.executable, "-c", HEAVY], env=environment, capture_output=True, text=True, cwd=folder, timeout=60
    )
    assert done.stderr == "set()", done.stderr
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("sparsebench run --profile sm", ["smoke"]),
        ("sparsebench run --suite v", ["vtab"]),
        ("sparsebench llm run --method lor", ["lora"]),
        ("sparsebench llm run --method Expert", ["Expert Drop 6 of 8 (REAP)"]),
        ("sparsebench vtab run --task dig", ["digits"]),
        ("sparsebench vtab plan --task trec", []),
        ("sparsebench run --suite llm --task trec", ["trec6"]),
        ("sparsebench run --profile nothing --method CM", []),
    ],
)
def test_what_is_offered(line: str, offered: list[str]) -> None:
    assert complete(line) == offered


def test_profiles_of_this_folder(tmp_path: Path) -> None:
    (tmp_path / "smart.yaml").write_text("")
    assert complete("sparsebench run --profile sm", tmp_path) == ["smoke", "smart.yaml"]


def test_speed_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = tmp_path / "sparsebench" / "speed"
    cells.mkdir(parents=True)
    (cells / "test_mixtures_speed.py").write_text("")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert complete("sparsebench speed --only mixt") == ["mixtures"]
