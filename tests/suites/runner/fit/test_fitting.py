"""From a table to a folder: the runner's records, the words, a model that predicts; a stopped fit goes on."""

import csv
import io
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.locks import sole_writer
from sparsebench.suites.runner.fit import fitting, rows
from sparsebench.suites.runner.fit.fitting import LOCK, RESULTS, fit
from sparsebench.suites.runner.fit.predicting import predict

PROFILE = {
    "molecules": {
        "budget": {"epochs": 1, "batch_size": 50},
        "backbones": ["ecfp4"],
        "methods": [
            {"name": "constant", "role": "control"},
            {"name": "linear_probe", "config": {"penalties": [0.1, 1.0]}, "label": "linear_probe"},
        ],
        "tasks": ["own_molecules"],
    }
}


def test_a_table_becomes_a_folder_that_predicts(
    molecules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "few.yaml").write_text(yaml.safe_dump(PROFILE))
    monkeypatch.setattr(rows, "PROFILE", str(tmp_path / "few.yaml"))
    console = Console(record=True, width=200, file=io.StringIO())
    found = fit(molecules, tmp_path / "out", workers=1, console=console)
    assert found.recommendation.chosen.name == "linear_probe · ecfp4"
    assert found.recommendation.sureness == "cannot tell", "36 molecules"
    text = console.export_text()
    assert "1 rows are in no part: row 37: RDKit cannot read 'nonsense'" in text and "2 ok" in text
    assert {file.name for file in found.folder.iterdir()} == {
        *("data", RESULTS, "fit.json", "model.safetensors", "recommendation.txt", "rejected.csv"),
    }
    with (found.folder / "rejected.csv").open() as file:
        assert [row["row"] for row in csv.DictReader(file)] == ["row 37"]
    assert (found.folder / "recommendation.txt").read_text().splitlines() == list(found.sentences)
    frame = predict(found.folder, molecules)
    assert len(frame) == 37 and list(frame["status"]).count("ok") == 36
    with pytest.raises(UsageError, match="is there already"):
        fit(molecules, found.folder)
    assert not list(tmp_path.glob(".*.partial"))


def test_two_fits_of_one_folder_do_not_mix(molecules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither while the other one writes, nor where it ended while this one read its data."""
    out, stage = tmp_path / "out", tmp_path / ".out.partial"
    stage.mkdir()
    with sole_writer(stage / LOCK, "held"), pytest.raises(UsageError, match=r"another fit is writing .*/out: wait"):
        fit(molecules, out)
    assert [file.name for file in stage.iterdir()] == [LOCK]
    look = fitting.look_at

    def slowly(*args: Any) -> Any:
        out.mkdir()
        return look(*args)

    monkeypatch.setattr(fitting, "look_at", slowly)
    with pytest.raises(UsageError, match="is there already"):
        fit(molecules, out)
    assert not list(out.iterdir()) and not stage.exists()


def test_options_of_both_kinds_are_refused(molecules: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="say one of the two"):
        fit(molecules, tmp_path / "out", text="SMILES", smiles="SMILES")
    assert list(tmp_path.iterdir()) == []
