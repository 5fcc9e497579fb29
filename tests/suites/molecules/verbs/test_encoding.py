"""Words of a file are those of the pipeline, row by row; a stopped run ends in the same bytes."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyarrow import parquet

from sparsebench.models.errors import ModelError
from sparsebench.suites.molecules.verbs import encoding
from sparsebench.suites.molecules.verbs.common import pipeline_of
from sparsebench.suites.molecules.verbs.encoding import encode_file
from sparsebench.suites.molecules.verbs.scoring import score_file

from .conftest import LINES


def test_every_row_has_words_or_a_reason(table: Path, model_folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.parquet"
    summary = encode_file(table, out, model=model_folder)
    frame = pd.read_parquet(out)
    assert frame["row"].tolist() == list(range(1, 10)) and frame["smiles"].tolist() == LINES
    assert frame["status"].tolist() == ["ok", "invalid", "empty", *["ok"] * 6]
    assert summary.counts == {"ok": 7, "invalid": 1, "empty": 1} and summary.stereo == 1
    assert summary.bad == ["row 2: invalid: 'C1CC' is not a SMILES string", "row 3: empty: no atoms"]
    good = frame["status"] == "ok"
    assert frame["words"].isna().tolist() == (~good).tolist()
    expected = pipeline_of(model_folder, 256).encode(LINES).words.flatten(1).numpy()[good]
    np.testing.assert_array_equal(np.stack(frame["words"][good]), expected)
    stored = json.loads(parquet.read_schema(out).metadata[b"sparsebench"])
    assert (stored["words"], stored["width"]) == (2, 16)


def test_what_the_vocabulary_of_a_published_model_drops_is_counted(
    model_folder: Path, published_folder: Path, tmp_path: Path
) -> None:
    """Such a row has words, those of another molecule."""
    file = tmp_path / "salts.smi"
    lines = ["CCO", "CC(=O)[O-].[Na+]", "C[N+](C)(C)C", "[2H]CC", "C[CH]C", "CC.O", "C[C@H](N)C(=O)O"]
    file.write_text("\n".join(lines) + "\n")
    summary = encode_file(file, tmp_path / "out.parquet", model=published_folder)
    assert summary.counts == {"ok": 7} and summary.stereo == 1
    assert summary.lost == {"formal charges": 2, "isotopes": 1, "radicals": 1, "lone atoms, as counter-ions": 2}
    ours = encode_file(file, tmp_path / "ours.parquet", model=model_folder)
    assert not ours.lost and ours.counts == {"ok": 5, "isotope": 1, "radical": 1}, "it keeps or refuses them"
    assert score_file(file, tmp_path / "out.csv", model=published_folder).lost == summary.lost


def test_a_stopped_run_goes_on_to_the_same_bytes(
    table: Path, model_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "PART", 2)
    encode_file(table, tmp_path / "whole.parquet", model=model_folder, pool="mean")
    out = tmp_path / "out.parquet"

    def stop(rows: int) -> None:
        if rows == 6:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        encode_file(table, out, model=model_folder, pool="mean", progress=stop)
    kept = sorted((tmp_path / "out.parquet.parts").glob("*.parquet"))
    assert len(kept) == 3 and not out.exists()
    with pytest.raises(ModelError, match="holds parts of another run"):
        encode_file(table, out, model=model_folder, pool="first")
    before = kept[0].stat().st_mtime_ns
    seen = []

    def look(rows: int) -> None:
        seen.append(kept[0].stat().st_mtime_ns)

    encode_file(table, out, model=model_folder, pool="mean", progress=look)
    assert set(seen) == {before}, "the first part is not made again"
    assert out.read_bytes() == (tmp_path / "whole.parquet").read_bytes()
    assert not (tmp_path / "out.parquet.parts").exists() and parquet.ParquetFile(out).num_row_groups == 5
