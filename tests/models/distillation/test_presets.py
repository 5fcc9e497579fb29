"""Settings of iDAT, as released and corrected."""

import dataclasses
from typing import Any, get_args

import pytest
import timm
import torch

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.distillation.presets import IdatAdapter, preset
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize("adapter", get_args(IdatAdapter))
@pytest.mark.parametrize(("size", "count"), [("small", 41_520), ("base", 82_992)])
def test_counts_of_the_released_pair(adapter: Any, size: str, count: int) -> None:
    """h = 4 in both: L (2 d h + h + d); the module that is used twice counts once."""
    with torch.device("meta"):
        model = timm.create_model(f"vit_{size}_patch16_224", num_classes=10)
    assert attach(model, preset(adapter, faithful=True).adapters).count() == count


WIDTHS = [
    ("small", 8, 78_432),
    ("small", 64, 595_200),
    ("base", 8, 156_768),
    ("base", 64, 1_189_632),
    ("large", 4, 221_280),
    ("large", 8, 417_984),
    ("large", 64, 3_171_840),
]


@pytest.mark.parametrize(("size", "width", "count"), WIDTHS)
def test_counts_of_other_sizes_and_widths(size: str, width: int, count: int) -> None:
    """ViT-S to ViT-B and ViT-L: pairs of the authors."""
    with torch.device("meta"):
        model = timm.create_model(f"vit_{size}_patch16_224", num_classes=10)
    config = dataclasses.replace(preset("idat_adaptformer").adapters, r=width)  # type: ignore[call-arg]
    assert attach(model, config).count() == count


@pytest.mark.parametrize(("size", "widest"), [("small", 768), ("base", 1024)])
def test_counts_of_the_swin_pair(size: str, widest: int) -> None:
    """Depths 2, 2, 18, 2 at widths that double; after each FFN, since its stages change the stream."""
    with torch.device("meta"):
        model = timm.create_model(f"swin_{size}_patch4_window7_224", num_classes=10)
    widths = [widest // 8] * 2 + [widest // 4] * 2 + [widest // 2] * 18 + [widest] * 2
    assert attach(model, BottleneckConfig(r=4)).count() == sum(2 * d * 4 + 4 + d for d in widths)


@pytest.mark.parametrize("adapter", get_args(IdatAdapter))
def test_corrected_adapters_start_as_no_change_and_released_ones_do_not(adapter: Any) -> None:
    def small() -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            sizes: Any = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 3}
            return timm.create_model("vit_tiny_patch16_224", **sizes).eval()

    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    before = small()(images)
    corrected, released = small(), small()
    attach(corrected, preset(adapter).adapters)
    attach(released, preset(adapter, faithful=True).adapters)
    assert torch.equal(corrected(images), before)
    difference = (released(images) - before).abs().max()
    assert 0 < difference < 0.1 * before.abs().max()


def test_losses() -> None:
    assert preset().loss.kind == "mse" and preset().teacher_steps
    assert preset(kind="kl").loss.t2 and not preset(kind="kl", faithful=True).loss.t2
    assert preset(kind="kl", faithful=True).loss.temperature == 5.0
    assert not preset(faithful=True, amp=False).teacher_steps


def test_the_defect_goes_with_the_release_only() -> None:
    with pytest.raises(ModelError, match="defect of the release"):
        preset(amp=False)
    with pytest.raises(ModelError, match="did you mean 'idat_sequential'"):
        preset("idat_sequental")  # type: ignore[arg-type]
