"""A folder of GLUE as it is published: columns by name, quotes as characters, one line for what is wrong."""

from pathlib import Path

import pytest

from sparsebench.data.errors import DataError, TableError
from sparsebench.data.own.glue import FORMS, glue_part

COLA = 'gj04\t1\t\tThe "sailors" rode.\nc-05\t0\t*\tThey drank the pub.\n'
MRPC = "\ufeffQuality\t#1 ID\t#2 ID\t#1 String\t#2 String\r\n1\t7\t8\tOne.\tThe one.\r\n"
STSB = "index\tsentence1\tsentence2\tscore\n0\tA plane.\tAn air plane.\t4.750\n"


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(text, encoding="utf-8", newline="")


def test_a_file_without_names_of_columns(tmp_path: Path) -> None:
    write(tmp_path, "CoLA/train.tsv", COLA)
    table = glue_part("cola", "train", tmp_path)
    assert table.texts == ('The "sailors" rode.', "They drank the pub.")
    assert [table.classes[target] for target in table.targets] == ["acceptable", "unacceptable"]


def test_pairs_and_scores(tmp_path: Path) -> None:
    write(tmp_path, "MRPC/dev.tsv", MRPC + "0\t9\t10\tTwo.\tThree.\r\n")
    write(tmp_path, "STS-B/train.tsv", STSB)
    pairs = glue_part("mrpc", "dev", tmp_path)
    assert pairs.texts == (("One.", "The one."), ("Two.", "Three.")) and pairs.targets.tolist() == [0, 1]
    scores = glue_part("stsb", "train", tmp_path)
    assert scores.texts == (("A plane.", "An air plane."),) and scores.targets.tolist() == [[4.75]]
    assert not scores.classes


def test_the_development_part_of_mnli_is_the_matched_one(tmp_path: Path) -> None:
    write(tmp_path, "MNLI/dev_matched.tsv", "sentence1\tsentence2\tgold_label\na\tb\tneutral\n")
    assert glue_part("mnli", "dev", tmp_path).classes == ("neutral",)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("gj04\t1\t\tOne field\tmore.\n", "line 1: 5 fields, but 4 columns"),
        (COLA + "gj04\t2\t\tA third class.\n", "line 3: label '2' is none of 0, 1"),
        (COLA + "gj04\t1\t\t \n", "line 3: nothing in the column 'sentence'"),
        ("", "has no row"),
    ],
)
def test_what_is_not_as_published_is_refused(tmp_path: Path, text: str, why: str) -> None:
    write(tmp_path, "CoLA/dev.tsv", text)
    with pytest.raises(TableError, match=why):
        glue_part("cola", "dev", tmp_path)


@pytest.mark.parametrize("score", ["four", "nan"])
def test_scores_are_finite_numbers(tmp_path: Path, score: str) -> None:
    write(tmp_path, "STS-B/dev.tsv", STSB.replace("4.750", score))
    with pytest.raises(TableError, match="a score is"):
        glue_part("stsb", "dev", tmp_path)


def test_missing_files_and_folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FORMS:
        with pytest.raises(TableError, match="has no file"):
            glue_part(name, "train", tmp_path)
    (tmp_path / "RTE").mkdir()
    (tmp_path / "RTE" / "train.tsv").write_bytes(b"index\tsentence1\xff\n")
    with pytest.raises(TableError, match="no text in UTF-8"):
        glue_part("rte", "train", tmp_path)
    monkeypatch.delenv("SPARSEBENCH_GLUE", raising=False)
    with pytest.raises(DataError, match="SPARSEBENCH_GLUE"):
        glue_part("rte", "train")
