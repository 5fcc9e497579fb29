"""The one resize: PIL's to rounding, all images at once or one by one."""

import numpy as np
import pytest
from PIL import Image

from sparsebench.data.vision.vtab1k.resizing import resized


@pytest.mark.parametrize(
    ("name", "filter_"), [("bilinear", Image.Resampling.BILINEAR), ("bicubic", Image.Resampling.BICUBIC)]
)
def test_it_is_pil_s_to_rounding(name: str, filter_: Image.Resampling):
    pixels = np.random.default_rng(0).integers(0, 256, (2, 30, 20, 3), dtype=np.uint8)
    found = resized(pixels, 12, name)
    assert found.shape == (2, 3, 12, 12)
    for image, row in zip(pixels, found, strict=True):
        expected = np.asarray(Image.fromarray(image).resize((12, 12), filter_)).astype(int)
        assert np.abs(row.permute(1, 2, 0).numpy() - expected).max() <= 2
        assert resized(image[None], 12, name)[0].equal(row)


def test_grey_images_and_other_types():
    grey = np.arange(16, dtype=np.uint8).reshape(1, 4, 4)
    assert resized(grey, 4, "bicubic")[0].numpy().tolist() == [grey[0].tolist()] * 3
    with pytest.raises(TypeError, match="images must be uint8, not float64"):
        resized(grey.astype(float), 4, "bicubic")
