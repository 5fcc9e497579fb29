"""Completion of values, by the protocol that shells use."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.trackers import TRACKERS

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
        ("sparsebench llm run --method CM", ["CMoE 3+1 of 8 (50 %)"]),
        ("sparsebench vtab run --task dig", ["digits"]),
        ("sparsebench vtab plan --task trec", []),
        ("sparsebench run --suite llm --task trec", ["trec6"]),
        ("sparsebench llm plan --backbone minil", ["minilm_l6"]),
        ("sparsebench llm plan --set lora.ra", ["lora.rank="]),
        ("sparsebench llm plan --set budget.st", ["budget.steps="]),
        ("sparsebench plan --dtype bf", ["bfloat16"]),
        ("sparsebench plan --device a", ["auto"]),
        ("sparsebench run --log-with tens", ["tensorboard"]),
        ("sparsebench show smollm2_1", ["smollm2_135m_instruct"]),
        ("sparsebench check ssf", ["ssf"]),
        ("sparsebench run --profile nothing --method CM", []),
    ],
)
def test_what_is_offered(line: str, offered: list[str]) -> None:
    assert complete(line) == offered


def test_every_tracker_is_offered() -> None:
    assert complete("sparsebench run --log-with ") == list(TRACKERS)


def test_profiles_of_this_folder(tmp_path: Path) -> None:
    (tmp_path / "smart.yaml").write_text("")
    assert complete("sparsebench run --profile sm", tmp_path) == ["smoke", "smart.yaml"]


def test_rows_of_a_result_folder(bench, tmp_path: Path) -> None:
    rows = {"seeds": 1, "backbones": ["toy_line"], "methods": ["toy_fine", "toy_raise"], "tasks": ["toy_sum"]}
    bench.write_profile({"molecules": rows})
    assert bench.call(*bench.run_arguments()).returncode == 1
    assert len(Store(bench.out).open().read_all()[0]) == 2
    assert complete(f"sparsebench compare {bench.out} toy_f") == ["toy_fine"]
    assert complete(f"sparsebench compare {tmp_path / 'nowhere'} toy_f") == []
