"""Settings of iDAT, as released and corrected."""

import dataclasses
from typing import Any, get_args

import pytest
import timm
import torch

from sparsebench.models.adapters import BottleneckConfig, attach
from sparsebench.models.adapters import preset as adapter_preset
from sparsebench.models.distillation.presets import IdatAdapter, preset
from sparsebench.models.errors import ModelError


@pytest.mark.parametrize("faithful", [False, True])
@pytest.mark.parametrize("adapter", get_args(IdatAdapter))
def test_adapters_are_those_of_the_presets_four_wide(adapter: Any, faithful: bool) -> None:
    """How these start: `adapters/kinds/test_shared_parallel.py`; what they come to on ViT-B: `test_counts.py` there."""
    assert preset(adapter, faithful=faithful).adapters == adapter_preset(adapter, faithful=faithful, r=4)


WIDTHS = [("small", 4, 41_520), ("small", 64, 595_200)]
WIDTHS += [("large", 4, 221_280), ("large", 8, 417_984), ("large", 64, 3_171_840)]


@pytest.mark.parametrize(("size", "width", "count"), WIDTHS)
def test_counts_of_other_sizes_and_widths(size: str, width: int, count: int) -> None:
    """ViT-S and ViT-L, of the authors' pairs: L (2 d h + h + d)."""
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
