"""What is drawn once is kept, and drawn again when its code changes."""

import numpy as np
import pytest

from sparsebench.data.derived import heard_by
from sparsebench.data.vision.scenes import kept as module
from sparsebench.data.vision.scenes.kept import kept


def test_drawn_once(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(module, "SIZES", (3, 2, 4))
    drawn = []

    def render(part: int, count: int):
        drawn.append((part, count))
        return {"images": np.full((count, 2), part), "labels": np.arange(count)}

    said: list[str] = []
    with heard_by(said.append):
        assert kept("toys", ("toys.py",), render, 2, 3)["labels"].tolist() == [0, 1, 2]
    assert said == [f"toys: drawing {size} images, part {part} of 3" for part, size in ((1, 3), (2, 2), (3, 4))]
    assert drawn == [(0, 3), (1, 2), (2, 4)]
    assert kept("toys", ("toys.py",), render, 1, 2)["images"].tolist() == [[1, 1], [1, 1]]
    assert len(drawn) == 3
    kept("toys", ("toys.py", "raycast.py"), render, 0, 1)
    assert len(drawn) == 6, "other code: another folder"
    with pytest.raises(ValueError, match="-1 images are asked for"):
        kept("toys", ("toys.py",), render, 0, -1)
