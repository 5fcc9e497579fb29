"""`molecules encode | generate | score` on the command line: what is told. Mistakes: `tests/faults/verbs`."""

import subprocess
import sys
from pathlib import Path

import pytest

from sparsebench.suites.molecules.verbs.common import Summary
from sparsebench.suites.runner.cli.molecule_commands import _tell

TABLE = "id,SMILES\n1,CCO\n2,C1CC\n"


def test_what_is_told(sparsebench, tmp_path: Path) -> None:
    (tmp_path / "mine.csv").write_text(TABLE)
    code, out, err = sparsebench("molecules", "encode", "mine.csv", "mine.parquet")
    assert code == 0, err
    assert "1 ok, 1 invalid; written to mine.parquet" in out and "row 2: invalid: 'C1CC' is not" in out
    code, out, err = sparsebench("molecules", "score", "mine.csv")
    assert code == 0 and (tmp_path / "mine-scores.csv").is_file(), err
    code, out, err = sparsebench("molecules", "generate", "2", "new.csv", "--seed", "1", "--property", "logp=50")
    assert code == 0 and "note: logp=50 is outside of what this model was trained on" in err
    (tmp_path / "bad.smi").write_text("C1CC\n")
    assert sparsebench("molecules", "encode", "bad.smi", "bad.parquet")[0] == 1


def test_what_a_published_model_drops_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    summary = Summary(faithful=True)
    for row, smiles in enumerate(["CCO", "CC(=O)[O-].[Na+]", "C[N+](C)(C)C"], start=1):
        summary.add(row, smiles, "ok", "")
    _tell(summary, Path("words.parquet"))
    kinds = "2 molecules with formal charges, 1 molecules with lone atoms, as counter-ions"
    assert f"bonds alone, and drops the rest of {kinds}" in capsys.readouterr().out


def test_help_imports_no_torch() -> None:
    code = (
        "import sys\n"
        "from sparsebench.suites.runner.cli import app\n"
        "from typer.testing import CliRunner\n"
        "for name in ('encode', 'generate', 'score'):\n"
        "    assert CliRunner().invoke(app.app, ['molecules', name, '--help']).exit_code == 0\n"
        "assert not {'torch', 'numpy', 'rdkit', 'pandas', 'pyarrow'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
