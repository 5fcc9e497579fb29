"""Likelihoods are those of the pipeline; validity is RDKit's."""

import csv
from pathlib import Path

from sparsebench.suites.molecules.verbs.common import pipeline_of
from sparsebench.suites.molecules.verbs.scoring import score_file

from .conftest import LINES


def test_every_row_has_a_score_or_a_reason(table: Path, model_folder: Path, tmp_path: Path) -> None:
    with table.open("a") as lines:
        lines.write("10,[13CH4]\n")
    summary = score_file(table, tmp_path / "out.csv", model=model_folder)
    with (tmp_path / "out.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["valid"] for row in rows] == ["1", "0", "0", *["1"] * 7], "an isotope has no tokens and is valid"
    assert rows[-1]["status"] == "isotope" and summary.counts["ok"] == 7
    expected = pipeline_of(model_folder, 256).score(LINES).tolist()
    for row, value in zip(rows[:-1], expected, strict=True):
        assert row["log_likelihood"] == ("" if row["status"] != "ok" else f"{value:.6g}")


def test_a_published_model_scores_alike_at_each_call(table: Path, published_folder: Path, tmp_path: Path) -> None:
    texts = []
    for name in ("one.csv", "two.csv"):
        score_file(table, tmp_path / name, model=published_folder)
        texts.append((tmp_path / name).read_text())
    assert texts[0] == texts[1] and ",ok," in texts[0]
