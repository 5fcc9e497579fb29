"""Few-shot lists: nested, balanced, the same everywhere."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pytest

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.vision.vtab1k import vtab1k
from sparsebench.data.vision.vtab1k.few_shot import SHOTS, draw, write

ONE_SHOT = [f"images/train800val200/{number:06d}.jpg" for number in (106, 203, 221, 956)]


def test_lists_are_balanced_nested_and_seeded(built: Path):
    task = vtab1k("kitti", built)
    lists = [draw(task, shots, seed=0) for shots in SHOTS]
    for shots, rows in zip(SHOTS, lists, strict=True):
        assert Counter(row.label for row in rows) == {label: shots for label in range(4)}
    for fewer, more in pairwise(lists):
        assert set(fewer) < set(more)
    assert draw(task, 16, seed=0) == lists[-1] != draw(task, 16, seed=1)
    assert [row.name for row in draw(task, 1, seed=0)] == ONE_SHOT, "the same on every machine"


def test_lists_are_written_with_their_sums(built: Path, tmp_path: Path):
    task = vtab1k("kitti", built)
    folder = write(task, 3, tmp_path)
    assert folder == tmp_path / "kitti" / "few_shot" / "seed3"
    assert [len((folder / f"{shots}.txt").read_text().splitlines()) for shots in SHOTS] == [4, 8, 16, 32, 64]
    first = (folder / "1.txt").read_text().splitlines()[0]
    name, label = first.split(" ")
    assert (built / "kitti" / name).is_file() and int(label) in range(4)
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 5


def test_other_numbers_of_shots(built: Path):
    with pytest.raises(LocalFolderError, match="3 shots: there are lists of 1, 2, 4, 8, 16"):
        draw(vtab1k("kitti", built), 3, seed=0)
