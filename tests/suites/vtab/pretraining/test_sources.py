"""The sources of a pre-training: normalisation, passes over the photographs, and what is changed in them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from sparsebench.data.vision.splits import Images
from sparsebench.suites.vtab.pretraining import sources as module
from sparsebench.suites.vtab.pretraining.sources import changed_photographs, drawn_source, photograph_source


@pytest.mark.parametrize("name", ["fractals", "contours"])
def test_drawn_images_are_normalised_as_the_body_does_it(name: str) -> None:
    source = drawn_source(name, 5, 24, 0)
    drawn = source.take(12, 0, np.random.default_rng(0))
    assert drawn.images.shape == (12, 3, 24, 24) and drawn.images.dtype == torch.float32
    assert drawn.images.min() >= -1 and drawn.images.max() <= 1 and drawn.images.min() < -0.5
    assert set(drawn.labels.tolist()) <= set(range(5)) and drawn.placement.shape == (12, len(source.placement))
    assert source.outputs == 5 + len(source.placement) and source.content == f"5 {name}, seed 0"


def test_photographs_come_once_a_pass_each_time_in_another_order(photographs: Images) -> None:
    source = photograph_source(photographs, "noise", 32, 3, changed=False)
    images = torch.cat([source.take(12, before, np.random.default_rng()).images for before in range(0, 60, 12)])
    original = torch.from_numpy(photographs.images).permute(0, 3, 1, 2) / 127.5 - 1
    found = [int((image - original).square().sum((1, 2, 3)).argmin()) for image in images]
    assert sorted(found[:30]) == sorted(found[30:]) == list(range(30)) and found[:30] != found[30:]
    labels = torch.cat([source.take(12, before, np.random.default_rng()).labels for before in range(0, 60, 12)])
    assert labels.tolist() == [index % 10 for index in found]
    assert source.placement == () and source.outputs == 10


def test_unchanged_photographs_are_only_resized(photographs: Images) -> None:
    source = photograph_source(photographs, "noise", 48, 0, changed=False)
    first, again = (source.take(3, 0, np.random.default_rng(seed)) for seed in range(2))
    assert torch.equal(first.images, again.images) and first.images.shape == (3, 3, 48, 48)
    index = np.random.default_rng((0, 0)).permutation(30)[:3]
    pixels = torch.from_numpy(photographs.images[index]).permute(0, 3, 1, 2) / 127.5 - 1
    resized = F.interpolate(pixels, size=(48, 48), mode="bicubic", antialias=True).clamp(-1, 1)
    assert torch.equal(first.images, resized)


def test_a_crop_without_chance_is_the_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole area, no change of light and colour: the image, or its mirror image."""
    for name, value in (("CROP", (1.0, 1.0)), ("STRETCH", 0.0), ("LIGHT", 0.0), ("GREY", 0.0)):
        monkeypatch.setattr(module, name, value)
    images = torch.rand(40, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    changed = changed_photographs(images, 16, np.random.default_rng(0))
    same = (changed - images).abs().amax((1, 2, 3)) < 1e-4
    mirrored = (changed - images.flip(-1)).abs().amax((1, 2, 3)) < 1e-4
    assert (same ^ mirrored).all() and 5 < same.sum() < 35


def test_crops_lie_inside_the_photograph(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a ramp from left to right, a crop is a part of the ramp of the expected length."""
    for name, value in (("CROP", (0.25, 0.25)), ("STRETCH", 0.0), ("LIGHT", 0.0), ("GREY", 0.0)):
        monkeypatch.setattr(module, name, value)
    ramp = torch.linspace(-1, 1, 64).expand(200, 3, 64, 64)
    changed = changed_photographs(ramp, 32, np.random.default_rng(0))
    lengths = (changed[:, 0, 0, -1] - changed[:, 0, 0, 0]).abs()
    assert torch.allclose(lengths, torch.full_like(lengths, 1.0 * 31 / 32), atol=0.04), "half of the side"
    assert changed.min() < -0.9 and changed.max() > 0.9, "crops come from everywhere"


def test_light_and_colour_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CROP", (1.0, 1.0))
    images = torch.rand(300, 3, 8, 8, generator=torch.Generator().manual_seed(0)) - 0.5
    changed = changed_photographs(images, 8, np.random.default_rng(0))
    grey = (changed[:, 0] - changed[:, 1]).abs().amax((1, 2)) < 1e-6
    assert 0.1 < grey.float().mean() < 0.3
    shift = changed.mean((1, 2, 3)) - images.mean((1, 2, 3))
    assert shift.abs().max() < module.LIGHT + 0.1 and shift.std() > 0.1
    assert changed.abs().max() <= 1
