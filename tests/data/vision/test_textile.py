"""Textile surfaces: the split, and a package that holds other numbers."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.errors import DataError
from sparsebench.data.vision import textile as module
from sparsebench.data.vision.textile import textile


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Small surfaces of the three classes instead of those of the package."""
    counts = {"nominal": 10, "local": 5, "global": 5}
    for grey, (name, count) in enumerate(counts.items()):
        (tmp_path / name).mkdir()
        for number in range(count):
            Image.new("RGB", (6, 6), (80 * grey + number,) * 3).save(tmp_path / name / f"textile_{number:04d}.jpg")
    monkeypatch.setattr(module, "CLASSES", counts)
    monkeypatch.setattr(module, "paths", lambda source, key, pattern: sorted(tmp_path.glob(pattern)))
    module._all.cache_clear()
    yield tmp_path
    module._all.cache_clear()


def test_parts_are_disjoint_and_labelled(files: Path) -> None:
    splits = textile(train=8, val=4, test=8)
    assert [part.images.shape for part in splits] == [(8, 6, 6, 3), (4, 6, 6, 3), (8, 6, 6, 3)]
    values = np.concatenate([part.images[:, 0, 0, 0] for part in splits]).astype(int)
    assert len(set(values)) == 20
    labels = np.concatenate([part.labels for part in splits])
    assert (labels == values // 80).all()
    assert (textile(train=4, val=4, test=8).test.images == splits.test.images).all()


def test_a_surface_that_is_missing(files: Path) -> None:
    (files / "local" / "textile_0001.jpg").unlink()
    with pytest.raises(DataError, match="4 surfaces are local, expected 5"):
        textile(1, 1, 1)


@pytest.mark.data
def test_the_package() -> None:
    splits = textile()
    assert [part.images.shape for part in splits] == [(800, 250, 250, 3), (200, 250, 250, 3), (1000, 250, 250, 3)]
    labels = np.concatenate([part.labels for part in splits])
    assert np.bincount(labels).tolist() == [1000, 500, 500]
