"""Tables of any form come out as columns of texts; what is none: `tests/faults/verbs`."""

import gzip
from pathlib import Path

import pytest

from sparsebench.data.errors import TableError
from sparsebench.data.own.tables import read_table

SDF = """water
     RDKit          2D

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 O   0  0
M  END
>  <logS>
1.5

$$$$
broken
     RDKit          2D

  1  0  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 Zz  0  0
M  END
$$$$
"""


def test_the_same_rows_in_every_form(tmp_path: Path) -> None:
    import pandas as pd

    lines = 'SMILES,y\nCCO,1\n"C,C",\nNA,nan\n'
    (tmp_path / "a.csv").write_text("\ufeff" + lines, encoding="utf-8")
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.tsv").write_text("SMILES\ty\nCCO\t1\nC,C\t\nNA\tnan\n")
    expected = {"SMILES": ("CCO", "C,C", "NA"), "y": ("1", "", "nan")}
    for name in ("a.csv", "a.csv.gz", "a.tsv"):
        assert read_table(tmp_path / name).columns == expected, name
    pd.DataFrame({"SMILES": ["CCO", None], "y": [1.5, 2.0]}).to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").columns == {"SMILES": ("CCO", ""), "y": ("1.5", "2.0")}
    frame = pd.DataFrame({"y": pd.array([1, None], "Int64")}, index=pd.Index(["CCO", "C"], name="SMILES"))
    frame.to_parquet(tmp_path / "a.parquet")  # the index was lost, and 1 was 1.0
    indexed = read_table(tmp_path / "a.parquet")
    assert indexed.columns == {"y": ("1", ""), "SMILES": ("CCO", "C")} and indexed.index == ("SMILES",)
    frame.set_axis([3, 8]).to_parquet(tmp_path / "a.parquet")
    assert read_table(tmp_path / "a.parquet").columns == {"y": ("1", "")}
    (tmp_path / "a.smi").write_text("CCO ethanol 1.5\n\nCC\n")
    columns = {"smiles": ("CCO", "CC"), "column 2": ("ethanol", ""), "column 3": ("1.5", "")}
    assert read_table(tmp_path / "a.smi").columns == columns
    (tmp_path / "a.smi").write_text("CCO\tethanol\t1.5\nCCN\tcompound 7\t-0.3\n\nCC\t\t2\n")
    columns = {"smiles": ("CCO", "CCN", "CC"), "column 2": ("ethanol", "compound 7", "")}
    assert read_table(tmp_path / "a.smi").columns == columns | {"column 3": ("1.5", "-0.3", "2")}


def test_a_broken_record_of_an_sdf_file_keeps_its_row(tmp_path: Path) -> None:
    (tmp_path / "a.sdf").write_text(SDF)
    table = read_table(tmp_path / "a.sdf")
    assert table.columns == {"molecule": ("O", ""), "name": ("water", ""), "logS": ("1.5", "")}
    assert list(table.broken) == [1]
    # One that promises more atoms than it has took the next one with it.
    cut = SDF.replace("  1  0  0  0  0  0  0  0  0  0999", "  9  0  0  0  0  0  0  0  0  0999", 1)
    (tmp_path / "a.sdf").write_text(cut.partition("broken")[0] + SDF.partition("broken")[0].removesuffix("$$$$\n"))
    table = read_table(tmp_path / "a.sdf")
    assert table.columns["molecule"] == ("", "O") and list(table.broken) == [0]
    (tmp_path / "a.sdf").write_text(SDF.replace("$$$$", "$$$$ 1"))
    assert len(read_table(tmp_path / "a.sdf")) == 2


def test_properties_of_an_sdf_file_are_its_texts(tmp_path: Path) -> None:
    """As numbers they lose what a catalogue means by them: "007" was 7, and "1e5" 100000.0."""
    fields = {"CAS": "1e5", "y": "0.10", "molecule": "M-12", "molecule (property)": "M-13"}
    more = "".join(f"\n\n>  <{name}>\n{value}" for name, value in fields.items())
    text = SDF.partition("broken")[0].replace("1.5", f"007{more}")
    (tmp_path / "a.sdf").write_text(text)
    columns = read_table(tmp_path / "a.sdf").columns
    assert [columns[name] for name in ("logS", "CAS", "y")] == [("007",), ("1e5",), ("0.10",)]
    assert columns["molecule"] == ("O",) and columns["molecule (property)"] == ("M-13",)
    assert columns["molecule (property) (property)"] == ("M-12",)


def test_a_csv_file_of_a_spreadsheet_has_semicolons_or_tabs(tmp_path: Path) -> None:
    for separator in ";\t":
        rows = (("ID", "SMILES", '"a, b"'), ("007", "CCO", "0,5"))
        text = "".join(separator.join(row) + "\r\n" for row in rows)
        (tmp_path / "a.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
        assert read_table(tmp_path / "a.csv").columns == {"ID": ("007",), "SMILES": ("CCO",), "a, b": ("0,5",)}
    (tmp_path / "a.csv").write_text("id;x,y\na;b,1\n")
    assert read_table(tmp_path / "a.csv").columns == {"id;x": ("a;b",), "y": ("1",)}


def test_a_blank_line_of_one_column_is_a_row(tmp_path: Path) -> None:
    """Without it, all rows below would have moved against the lines of whoever gave the file."""
    (tmp_path / "a.csv").write_text("\n\nSMILES\nCCO\n\nCN\n")
    assert read_table(tmp_path / "a.csv").columns == {"SMILES": ("CCO", "", "CN")}
    (tmp_path / "a.csv").write_text("SMILES,y\nCCO,1\n\nCN,2\n")
    assert read_table(tmp_path / "a.csv").columns["SMILES"] == ("CCO", "CN")


def test_two_texts_that_begin_with_a_quotation_mark_do_not_swallow_the_rows_between(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text('text,y\nfirst,1\n"Go, he said,1\nlost,2\n"No" she said,1\nlast,2\n')
    with pytest.raises(TableError, match=r"begins in line 3 goes on to line 5 and does not end there"):
        read_table(file)
    file.write_text('text,y\nfirst,1\n"Go,1\nlost,2\n')
    with pytest.raises(TableError, match=r"begins in line 3 goes on to line 4 and does not end there"):
        read_table(file)
    long = "x" * 200_000
    file.write_text(f'text,y\n"Go, he ""said""\nand {long}\nwent",1\n"No" she said,2\nlast,2\n')
    texts = (f'Go, he "said"\nand {long}\nwent', "No she said", "last")
    assert read_table(file).columns == {"text": texts, "y": ("1", "2", "2")}


def test_a_header_is_read_once_whatever_its_names_hold(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('\n"a\nb",c\n1,2\n')
    assert read_table(tmp_path / "a.csv").columns == {"a\nb": ("1",), "c": ("2",)}
    (tmp_path / "a.csv").write_text('"a\nb","a\nb"\n1,2\n')
    with pytest.raises(TableError, match="has two columns called"):
        read_table(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text("")
    with pytest.raises(TableError, match=r"a\.csv cannot be read as a table: No columns"):
        read_table(tmp_path / "a.csv")
