"""Letters on clutter: sizes, balance, fonts that do not train."""

import numpy as np
import pytest

from sparsebench.data.manifest import source
from sparsebench.data.vision import glyphs as module
from sparsebench.data.vision.glyphs import CLASSES, OTHER_FONTS, SIDE, TRAIN_FONTS, glyphs


def test_sizes_balance_and_determinism() -> None:
    splits = glyphs(train=52, val=26, test=26)
    assert [part.images.shape for part in splits] == [(52, SIDE, SIDE, 3), (26, SIDE, SIDE, 3), (26, SIDE, SIDE, 3)]
    assert np.bincount(splits.train.labels).tolist() == [2] * CLASSES
    module._part.cache_clear()
    again = glyphs(train=52, val=26, test=26)
    assert all((one.images == other.images).all() for one, other in zip(splits, again, strict=True))
    assert not (splits.val.images == splits.test.images).all((1, 2, 3)).any(), "each part has a seed of its own"


def test_no_font_of_the_test_part_trains() -> None:
    assert not set(TRAIN_FONTS) & set(OTHER_FONTS)
    pinned = {entry.name.rpartition("/")[2] for entry in source("fonts").files}
    assert pinned == {f"{name}.ttf" for name in (*TRAIN_FONTS, *OTHER_FONTS)}


def test_the_letter_is_in_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same random numbers with another letter differ in the middle, and there alone."""
    files = [module.path("fonts", "folder", below="DejaVuSans.ttf")]
    one, other = (module._draw(label, files, np.random.default_rng(3)).astype(int) for label in (8, 12))
    changed = np.abs(one - other).sum(-1) > 20
    assert 40 < changed.sum() < 900
    border = np.concatenate([changed[0], changed[-1], changed[:, 0], changed[:, -1]])
    assert not border.any()


@pytest.mark.parametrize("seed", range(5))
def test_the_letter_has_another_colour_than_the_background(seed: int) -> None:
    rng = np.random.default_rng(seed)
    back = rng.uniform(30, 225, size=3)
    assert np.abs(module._contrasting(back, rng) - back).mean() >= module.CONTRAST
