"""A row for each row that came in, with its status; classes, numbers and chances in columns of their own."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.fit.predicting import _columns, _given, predict, write_predictions
from sparsebench.suites.runner.fit.saved import Description


def about(goal: str, classes: list[str], targets: list[str]) -> Description:
    return Description(version="0", kind="text", cell={}, goal=goal, classes=classes, targets=targets)


def test_nothing_is_dropped(fitted: Path, tmp_path: Path) -> None:
    (tmp_path / "new.csv").write_text("name,SMILES,status\na,CCc1ccccc1,x\nb,nonsense,y\nc,,z\n")
    frame = predict(fitted, tmp_path / "new.csv")
    assert list(frame["name"]) == ["a", "b", "c"] and list(frame["status (given)"]) == ["x", "y", "z"]
    assert list(frame["status"]) == ["ok", "unreadable", "unreadable"]
    assert list(frame["reason"]) == ["", "not a SMILES string", "no SMILES"]
    assert frame["predicted size"].notna().tolist() == [True, False, False]


def test_predictions_of_three_rows_one_after_the_other_keep_all_columns() -> None:
    """The third one's "status (given)" took the place of the first one's."""
    came_in = {"SMILES": ["C"], "status (given)": ["first"], "status": ["second"]}
    found = _given(came_in, {"status": ["third"]})
    assert sorted(found.values()) == [["C"], ["first"], ["second"]] and "status" not in found


def test_classes_and_chances() -> None:
    outputs = torch.tensor([[0.0, 2.0], [torch.nan, torch.nan]])
    found = _columns(about("classification", ["no", "yes"], ["label"]), outputs)
    assert found["prediction"] == ["yes", ""]
    assert found["probability"][0] == found["p(yes)"][0] == pytest.approx(0.8808, abs=1e-4)
    chances = _columns(about("multilabel", [], ["a", "b"]), outputs)
    assert chances["probability a"][0] == 0.5 and chances["probability b"][1] != chances["probability b"][1]


def test_files_are_new_and_whole(tmp_path: Path) -> None:
    frame = pd.DataFrame({"status": ["ok"], "p": [0.5]})
    for name, read in (("a.csv", pd.read_csv), ("b.parquet", pd.read_parquet)):
        write_predictions(frame, tmp_path / name)
        pd.testing.assert_frame_equal(read(tmp_path / name), frame)
        with pytest.raises(UsageError, match="is there already"):
            write_predictions(frame, tmp_path / name)
    with pytest.raises(UsageError, match=r"written as \.csv or \.parquet"):
        write_predictions(frame, tmp_path / "c.xlsx")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.csv", "b.parquet"]
