"""`molecules encode | generate | score`: files, models and wishes that cannot be worked with."""

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from .catalogue import Case, Sound, copied, cut, edited, replaced

MINE: dict[str, str | bytes | None] = {"mine.csv": "id,SMILES\n1,CCO\n2,CC\n"}
ENCODE = "molecules encode"
SCORE = "molecules score"
GENERATE = "molecules generate"


def other_parts(folder: Path, _: Sound) -> None:
    (folder / "out.parquet.parts").mkdir()
    (folder / "out.parquet.parts" / "plan.json").write_text("{}")


FILES = [
    Case("no file", f"{ENCODE} nowhere.smi out.parquet", "there is no file nowhere.smi"),
    Case("a folder", f"{SCORE} mine.csv", "mine.csv", {"mine.csv": None}),
    Case("another form", f"{ENCODE} mine.docx out.parquet", "mine.docx: a table ends in", {"mine.docx": b"x"}),
    Case("a workbook for SMILES", f"{SCORE} mine.smi", "mine.smi", {"mine.smi": b"PK\x03\x04\xff\xfe\x00"}),
    Case("an empty file", f"{ENCODE} mine.smi out.parquet", "mine.smi has no row", {"mine.smi": ""}),
    Case("blank lines", f"{SCORE} mine.txt", "mine.txt has no row", {"mine.txt": "\n\n \n"}),
    Case("a header alone", f"{ENCODE} mine.csv out.parquet", "mine.csv has no row", {"mine.csv": "smiles,y\n"}),
    Case("no column of molecules", f"{SCORE} mine.csv", "which column has the SMILES", {"mine.csv": "a,b\n1,2\n"}),
    Case(
        "a column misspelt",
        f"{ENCODE} mine.csv o.parquet --smiles SMILE",
        "no column 'SMILE'; did you mean SMILES",
        MINE,
    ),
    Case(
        "a name twice",
        f"{ENCODE} mine.csv o.parquet",
        "two columns called 'smiles'",
        {"mine.csv": "smiles,smiles\nC,CC\n"},
    ),
    Case(
        "a name twice in SMI",
        f"{SCORE} mine.smi",
        "two columns called 'name'",
        {"mine.smi": "smiles name name\nC a b\n"},
    ),
    Case(
        "rows longer than the header",
        f"{ENCODE} mine.csv o.parquet",
        "more fields than its header",
        {"mine.csv": "smiles,y\nC,1,x\n"},
    ),
    Case(
        "a long row late",
        f"{SCORE} mine.csv",
        "mine.csv cannot be read as a table",
        {"mine.csv": "smiles,y\nC,1\nCC,1,2,3,4\n"},
    ),
    Case(
        "gzip cut off",
        f"{ENCODE} mine.smi.gz o.parquet",
        "mine.smi.gz cannot be read",
        {"mine.smi.gz": gzip.compress(b"CCO\n" * 99)[:-9]},
    ),
    Case("no gzip in .gz", f"{SCORE} mine.sdf.gz", "mine.sdf.gz", {"mine.sdf.gz": "no gzip"}),
    Case("no Parquet", f"{ENCODE} mine.parquet o.parquet", "mine.parquet cannot be read", {"mine.parquet": b"PAR1"}),
    Case("no UTF-8", f"{SCORE} mine.csv", "mine.csv cannot be read", {"mine.csv": b"smiles\n\xff\xfe\n"}),
]
PLACES = [
    Case("words as CSV", f"{ENCODE} mine.csv out.csv", "out.csv: the name must end in .parquet", MINE),
    Case("scores as Parquet", f"{SCORE} mine.csv out.parquet", "out.parquet: the name must end in .csv", MINE),
    Case("over its own input", f"{SCORE} mine.csv mine.csv", "mine.csv is there already", MINE),
    Case(
        "a folder as the file",
        f"{ENCODE} mine.csv o.parquet",
        "o.parquet is there already",
        {**MINE, "o.parquet": None},
    ),
    Case("no folder to lie in", f"{GENERATE} 2 no/out.csv", "there is no folder"),
    Case(
        "parts of another run",
        f"{ENCODE} mine.csv out.parquet",
        "out.parquet.parts holds parts of another run",
        MINE,
        other_parts,
    ),
    Case(
        "a file for the parts",
        f"{ENCODE} mine.csv out.parquet",
        "out.parquet.parts",
        {**MINE, "out.parquet.parts": "x"},
    ),
    Case("a folder for the unfinished file", f"{GENERATE} 2 out.csv", "out.csv.partial", {"out.csv.partial": None}),
]
MODELS = [
    Case("no model", f"{ENCODE} mine.csv out.parquet --model nowhere", "there is no folder nowhere", MINE),
    Case("an empty model", f"{SCORE} mine.csv --model empty", "empty", {**MINE, "empty": None}),
    Case("a language model", f"{ENCODE} mine.csv out.parquet --model {{dense}}", "dense", MINE),
    Case("a mixture of ours", f"{GENERATE} 2 out.csv --model {{mixture}}", "mixture holds a", MINE),
    Case(
        "a configuration cut off",
        f"{SCORE} mine.csv --model graphsgpt",
        "graphsgpt",
        MINE,
        copied("graphsgpt", cut("config.json", 60)),
    ),
    Case(
        "weights cut off",
        f"{ENCODE} mine.csv o.parquet --model graphsgpt",
        "graphsgpt",
        MINE,
        copied("graphsgpt", cut("model.safetensors", 200)),
    ),
    Case(
        "no weights",
        f"{SCORE} mine.csv --model graphsgpt",
        "graphsgpt",
        MINE,
        copied("graphsgpt", replaced("model.safetensors", None)),
    ),
    Case(
        "weights of another width",
        f"{ENCODE} mine.csv o.parquet --model graphsgpt",
        "graphsgpt",
        MINE,
        copied("graphsgpt", edited("config.json", hidden_size=32)),
    ),
    Case(
        "words of half a number",
        f"{SCORE} mine.csv --model graphsgpt",
        "graphsgpt",
        MINE,
        copied("graphsgpt", edited("config.json", num_words=1.5)),
    ),
]
WISHES = [
    Case(
        "another pooling",
        f"{ENCODE} mine.csv out.parquet --pool all",
        "pool='all' is not one of first, mean, concat",
        MINE,
    ),
    Case("no molecules at once", f"{ENCODE} mine.csv out.parquet --batch-size 0", "--batch-size", MINE),
    Case("none", f"{GENERATE} 0 out.csv", "'N'"),
    Case("a number in words", f"{GENERATE} many out.csv", "'N'"),
    Case("a temperature below zero", f"{GENERATE} 2 out.csv --temperature -1", "--temperature"),
    Case("a temperature that is none", f"{GENERATE} 2 out.csv --temperature nan", "--temperature"),
    Case("a seed beyond 64 bits", f"{GENERATE} 2 out.csv --seed 99999999999999999999", "--seed"),
    Case("a property that there is not", f"{GENERATE} 2 out.csv --property logq=1", "'logq' is not one of logp"),
    Case(
        "a property that the model lacks",
        f"{GENERATE} 2 out.csv --property qed=1 --model {{graphsgpt}}",
        "is not one of logp",
    ),
    Case(
        "a property that is no number",
        f"{GENERATE} 2 out.csv --property logp=much",
        "--property 'logp=much' must be as",
    ),
    Case(
        "a property that is not finite", f"{GENERATE} 2 out.csv --property logp=inf", "--property 'logp=inf' must be as"
    ),
    Case("a property without a value", f"{GENERATE} 2 out.csv --property logp", "--property 'logp' must be as"),
    Case(
        "a property twice",
        f"{GENERATE} 2 out.csv --property logp=1 --property logp=2",
        "--property 'logp' is given twice",
    ),
    Case("a scaffold that is no molecule", f"{GENERATE} 2 out.csv --scaffold C1CC", "'C1CC' cannot be used"),
    Case("no scaffold", f"{GENERATE} 2 out.csv --scaffold ''", "scaffold"),
    Case("a scaffold that is too large", f"{GENERATE} 2 out.csv --scaffold {'C' * 200}", "cannot be used"),
    Case("a scaffold of isotopes", f"{GENERATE} 2 out.csv --scaffold '[13CH4]'", "cannot be used"),
]
CASES = [*FILES, *PLACES, *MODELS, *WISHES]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_molecules_that_cannot_be_worked_with(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
