"""What `fit` says of a table beside its counts."""

from pathlib import Path

from sparsebench.data.own.columns import Columns
from sparsebench.suites.runner.fit.report import about_data
from sparsebench.suites.runner.fit.sources import OwnData, look_at

PARTS = ["train"] * 4 + ["val"] * 4 + ["test"] * 4


def looked_at(folder: Path, head: str, lines: list[str], targets: tuple[str, ...]) -> OwnData:
    (folder / "mine.csv").write_text("\n".join([head, *lines]) + "\n")
    return look_at(folder / "mine.csv", Columns("SMILES", targets, "split"), "molecules")


def test_a_column_of_one_class_in_a_part_is_named_with_the_part(tmp_path: Path) -> None:
    lines = []
    for number, part in enumerate(PARTS):
        toxic = int(part == "train" and number % 2)
        rare = "" if part == "test" else number % 2
        lines.append(f"{'C' * (number + 1)}O,{number % 2},{toxic},{rare},{part}")
    own = looked_at(tmp_path, "SMILES,active,toxic,rare,split", lines, ("active", "toxic", "rare"))
    said = about_data(own)[-1]
    assert said.startswith(
        "columns without both classes, by part (val: toxic; test: toxic, rare): the score of a part "
    )
    whole = looked_at(tmp_path, "SMILES,active,toxic,rare,split", lines, ("active",))
    assert len(about_data(whole)) == 1
