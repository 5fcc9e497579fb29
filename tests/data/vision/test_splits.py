"""Parts of image sets."""

import numpy as np
import pytest

from sparsebench.data.vision.splits import draw, rgb


def test_draw_is_disjoint_and_extends():
    first, second = draw(100, 7, 30, 20)
    assert not set(first) & set(second)
    assert draw(100, 7, 40)[0][:30].tolist() == first.tolist()
    with pytest.raises(ValueError, match=r"90 \+ 20 images are asked for, but there are 100"):
        draw(100, 7, 90, 20)


def test_grey_images_get_three_equal_channels() -> None:
    grey = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    images = rgb(grey)
    assert images.shape == (2, 2, 3, 3) and images.dtype == np.uint8
    assert all(np.array_equal(images[..., channel], grey) for channel in range(3))
