"""New inputs keep their order and their number; what cannot be read says why."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import TableError
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.fit.inputs import new_data


def test_molecules_by_another_column_name(tmp_path: Path) -> None:
    (tmp_path / "a.smi").write_text("CCO a\nxx b\n")
    new = new_data(tmp_path / "a.smi", "molecules", "SMILES")
    (chunk,) = new.chunks()
    assert [(one.value, one.reason) for one in chunk] == [("CCO", ""), (None, "not a SMILES string")]
    assert new.columns["column 2"] == ("a", "b") and new.column == "smiles"


def test_images_at_any_depth(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    Image.fromarray(np.zeros((3, 5), np.uint8)).save(tmp_path / "deep" / "b.png")
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / ".hidden").write_text("x")
    (tmp_path / "linked").symlink_to(tmp_path / "deep")  # was dropped without a word
    new = new_data(tmp_path, "images", "")
    (chunk,) = new.chunks()
    assert new.columns["file"] == ["a.txt", "deep/b.png", "linked"]
    assert chunk[2].value is None and "directory" in chunk[2].reason
    assert chunk[0].value is None and chunk[0].reason.startswith("no readable image")
    assert chunk[1].value.shape == (3, 5, 3)
    assert len(new_data(tmp_path / "deep" / "b.png", "images", "")) == 1


def test_photographs_are_read_a_few_at_a_time(tmp_path: Path) -> None:
    """256 of twelve megapixels, 9 GB, were read at once."""
    for number in range(20):
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(tmp_path / f"{number:02}.png")
    chunks = list(new_data(tmp_path, "images", "").chunks())
    assert [len(chunk) for chunk in chunks] == [16, 4]
    assert [one.value[0, 0, 0] for chunk in chunks for one in chunk] == list(range(20))


def test_nothing_to_predict(tmp_path: Path) -> None:
    for place, kind in ((tmp_path / "no", "text"), (tmp_path, "molecules"), (tmp_path, "images")):
        with pytest.raises(UsageError):
            new_data(place, kind, "")


def test_a_column_that_is_not_there_is_named_without_options_of_fit(tmp_path: Path) -> None:
    """`predict` has no `--smiles`, which the message asked for."""
    (tmp_path / "a.csv").write_text("drug,dose\nCCO,1\n")
    with pytest.raises(
        TableError, match="no column 'SMILES', on which the row was fitted, but 'drug', 'dose'"
    ) as found:
        new_data(tmp_path / "a.csv", "molecules", "SMILES")
    (tmp_path / "b.csv").write_text("id,score,text\n1,2,x\n")
    assert new_data(tmp_path / "b.csv", "text", "comment").column == "text"
    (tmp_path / "b.csv").write_text("id,Comment\n1,x\n")
    assert new_data(tmp_path / "b.csv", "text", "comment").column == "Comment"
    (tmp_path / "b.csv").write_text("id,score\n1,2\n")  # "score" was taken for the texts
    with pytest.raises(TableError, match="no column 'comment'"):
        new_data(tmp_path / "b.csv", "text", "comment")
    assert "--" not in str(found.value)
