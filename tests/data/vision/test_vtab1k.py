import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import LocalFolderError, UnknownSource
from sparsebench.data.vision import vtab1k as module
from sparsebench.data.vision.vtab1k import vtab1k


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The community layout with a few images: grey and RGB, of several sizes, one in CMYK."""
    folder = tmp_path / "dsprites_loc"
    for part, count in {"train800": 3, "val200": 2, "train800val200": 5, "test": 4}.items():
        (folder / "images" / part).mkdir(parents=True)
        lines = []
        for index in range(count):
            mode = ("L", "RGB", "CMYK")[index % 3]
            name = f"images/{part}/{index:06d}.jpg"
            Image.new(mode, (8 + index, 6), None).save(folder / name)
            lines.append(f"{name} {index * 3}")
        (folder / f"{part}.txt").write_text("\n".join(lines) + "\n")
    return tmp_path


def test_there_are_nineteen_tasks_with_940_classes():
    assert len(module.CLASSES) == 19
    assert sum(module.CLASSES.values()) == 940
    assert [len(tasks) for tasks in module.GROUPS.values()] == [7, 4, 8]
    assert {task for tasks in module.GROUPS.values() for task in tasks} == set(module.CLASSES)


def test_reads_the_layout(root: Path):
    task = vtab1k("dsprites_loc", root)
    assert (task.name, task.classes) == ("dsprites_loc", 16)
    assert [len(part) for part in (task.train800, task.val200, task.train800val200, task.test)] == [3, 2, 5, 4]
    assert task.test.labels == (0, 3, 6, 9)
    for index in range(4):
        pixels, label = task.test[index]
        assert pixels.shape == (6, 8 + index, 3) and pixels.dtype == np.uint8
        assert label == 3 * index


def test_root_from_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SPARSEBENCH_VTAB1K", str(root))
    assert len(vtab1k("dsprites_loc").test) == 4
    monkeypatch.delenv("SPARSEBENCH_VTAB1K")
    with pytest.raises(LocalFolderError, match="set SPARSEBENCH_VTAB1K"):
        vtab1k("dsprites_loc")


def test_unknown_task(root: Path):
    with pytest.raises(UnknownSource, match="unknown VTAB-1K task 'dsprite_loc'; did you mean dsprites_loc"):
        vtab1k("dsprite_loc", root)


def test_root_that_is_no_folder(root: Path):
    with pytest.raises(LocalFolderError, match=r"nowhere' is no folder; expected: <folder>/<task>/images"):
        vtab1k("dsprites_loc", root / "nowhere")


def test_missing_list(root: Path):
    with pytest.raises(LocalFolderError, match=re.escape(str(root / "cifar" / "train800.txt")) + " is missing"):
        vtab1k("cifar", root)


def test_missing_image(root: Path):
    (root / "dsprites_loc" / "images" / "test" / "000001.jpg").unlink()
    with pytest.raises(LocalFolderError, match=r"1 of 4 images are missing, first .*000001\.jpg"):
        vtab1k("dsprites_loc", root)


@pytest.mark.parametrize(
    "line", ["images/test/000000.jpg", "images/test/000000.jpg x", "images/test/000000.jpg 16", ""]
)
def test_malformed_line(root: Path, line: str):
    (root / "dsprites_loc" / "test.txt").write_text(f"images/test/000000.jpg 1\n{line}\n")
    with pytest.raises(LocalFolderError, match=r"test\.txt, line 2: .* label < 16"):
        vtab1k("dsprites_loc", root)
