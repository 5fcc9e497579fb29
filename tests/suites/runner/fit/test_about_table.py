"""What `fit` says of a table beside its counts."""

from pathlib import Path

import pytest
import torch

from sparsebench.data.own.columns import Columns
from sparsebench.suites.runner.discovery.loading import backbone_loader
from sparsebench.suites.runner.discovery.registry import find
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


STEREO = ["C[C@H](N)C(=O)O,1", "C[C@@H](N)C(=O)O,2", "nonsense,3", "C/C=C/C,3", "C/C=C\\C,3", "CC=CC,", "C[C@H](C)C,4"]


def test_stereo_that_no_row_sees_is_counted_with_what_hangs_on_it(tmp_path: Path) -> None:
    lines = [*STEREO, *(f"{'C' * (number + 5)}O,{number}" for number in range(12))]
    parts = [*PARTS, *PARTS][: len(lines)]
    table = [f"{line},{part}" for line, part in zip(lines, parts, strict=True)]
    own = looked_at(tmp_path, "SMILES,y,split", table, ("y",))
    said = about_data(own, ("ecfp4", "graph2seq:mean"))[-1]
    assert said == (
        "4 of 17 molecules have stereo (of a centre or a double bond), which no row sees (ecfp4, graph2seq:mean); "
        "1 group of molecules that differ in it alone have different values: rows 1, 2 (CC(N)C(=O)O)"
    )
    some = about_data(own, ("gin", "ecfp4:counts"))[-1]
    assert "which the rows on these do not see (ecfp4:counts)" in some
    assert len(about_data(own, ("gin",))) == 2, "it sees stereo"


@pytest.mark.parametrize("name", ["ecfp4", "ecfp4:counts", "tiny_encoder"])
def test_these_backbones_do_not_see_stereo(name: str) -> None:
    body = backbone_loader(find("backbone", name, "molecules"), name)(torch.Generator().manual_seed(0))
    for pair in (["C[C@H](N)C(=O)O", "C[C@@H](N)C(=O)O"], ["C/C=C/C", "C/C=C\\C"]):
        one, other = body.encode(pair)
        assert torch.equal(one, other)


def test_molecules_that_an_encoder_refuses_are_counted_and_named_with_it(tmp_path: Path) -> None:
    odd = ["[2H]CC,1", "C[CH]C,2", "nonsense,3", f"{'C' * 129},4"]
    lines = [*odd, *(f"{'C' * (number + 2)}O,{number}" for number in range(12))]
    table = [f"{line},{part}" for line, part in zip(lines, ["train", *PARTS, "val", "test", "train"], strict=True)]
    own = looked_at(tmp_path, "SMILES,y,split", table, ("y",))
    (said,) = (line for line in about_data(own, ("ecfp4", "tiny_encoder")) if "refuses" in line)
    assert said.startswith("tiny_encoder refuses 3 of 15 molecules; to its rows, trained and scored, each is the ")
    assert "row 1 ([2H]CC): " in said and "row 2 (C[CH]C): " in said and "; row 4 (CCC" in said
    assert f"({'C' * 60}...)" in said
    assert not any("refuses" in line for line in about_data(own, ("ecfp4",)))
    folder = f"graph2seq_folder:{tmp_path / 'none'}"
    assert len(about_data(own, (folder,))) == 2, "the reason of its cells says what is wrong"
