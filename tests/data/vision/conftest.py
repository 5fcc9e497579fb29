"""A package of made-up stamps that lies where Debian would have installed it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.fetching import debian
from sparsebench.data.vision import stamps as module

HEAD = """
name = "tuxpaint-stamps"
kind = "package"
registry = "debian"
package = "tuxpaint-stamps-default"
version = "1"
licence = "none"
citation = "made up by the tests"
paths = {{ stamps = "usr/share/stamps" }}
files = [{files}]
"""


def speckled(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """A speckled ellipse on a transparent ground, (H, W, 4)."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 256, size=(height, width, 4), dtype=np.uint8)
    down, across = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    pixels[..., 3] = 255 * (down**2 + across**2 <= 1)
    return pixels


@pytest.fixture
def stamp_root(tmp_path: Path, manifests: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Three stamps of each kind, pinned; gives the folder of the stamps before anything is read."""
    monkeypatch.setenv("SPARSEBENCH_OFFLINE", "1")
    monkeypatch.setattr(debian, "ROOT", tmp_path / "root")
    lines = []
    for number, folders in enumerate(module.KINDS.values()):
        for copy, first in enumerate(("ash", "birch", "cedar")):
            name = f"usr/share/stamps/{folders[0]}/{first}.png"
            file = tmp_path / "root" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(speckled(10 * number + copy)).save(file)
            content = file.read_bytes()
            lines.append(
                f'{{name = "{name}", sha256 = "{hashlib.sha256(content).hexdigest()}", size = {len(content)}}}'
            )
    (manifests / "tuxpaint-stamps.toml").write_text(HEAD.format(files=", ".join(lines)))
    module.stamps.cache_clear()
    yield tmp_path / "root/usr/share/stamps"
    module.stamps.cache_clear()
