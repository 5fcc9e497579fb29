"""Drop path of the released adapters: as timm sets it, in training alone; no option of such a method is dead."""

from typing import Any

import pytest
import timm as timm_library
import torch
from timm.layers.drop import DropPath
from torch import nn

from sparsebench.models.adapters import preset
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm.backbones import tiny_encoder
from sparsebench.suites.methods.adapters._drop_path import set_drop_path
from sparsebench.suites.methods.adapters.adaptformer import AdaptFormer
from sparsebench.suites.methods.adapters.convpass import Convpass
from sparsebench.suites.methods.adapters.fact import FacT
from sparsebench.suites.methods.adapters.houlsby import Houlsby
from sparsebench.suites.methods.adapters.pfeiffer import Pfeiffer
from sparsebench.suites.methods.adapters.rep_adapter import RepAdapter
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.vtab.backbones import tiny

RELEASED = {"fact": FacT, "rep_adapter": RepAdapter}
FIELDS = {"blocks": "all", "seed": 5, "train_head": True}


def rates(model: nn.Module) -> list[float]:
    return [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]


def model() -> LinearHeadModel:
    generator = torch.Generator().manual_seed(0)
    return LinearHeadModel(tiny.load(generator, None), 3, generator)


def test_the_rates_are_those_of_timm():
    """Identity stands for the rate 0 there."""
    sizes: dict[str, Any] = {"img_size": 32, "embed_dim": 12, "depth": 5, "num_heads": 3}
    net = timm_library.models.vision_transformer.VisionTransformer(**sizes)
    wanted = timm_library.models.vision_transformer.VisionTransformer(**sizes, drop_path_rate=0.2)
    assert set_drop_path(net, 0.2) == 10
    assert [rate for rate in rates(net) if rate] == pytest.approx(rates(wanted), rel=1e-6)
    assert set_drop_path(net, 0.0) == 10 and set(rates(net)) == {0.0}


def test_a_network_without_places_is_as_it_was():
    net = tiny_encoder.load(torch.Generator().manual_seed(0))
    assert set_drop_path(net, 0.1) == 0 and rates(net) == []


@pytest.mark.parametrize("name", RELEASED)
def test_released_methods_have_the_settings_of_their_releases(name: str):
    method = RELEASED[name](rank=4, scale=2.0)
    assert method.config(model(), **FIELDS) == preset(name, faithful=True, r=4, scale=2.0, **FIELDS)
    assert method.config(model(), **FIELDS).dropout == 0.1  # type: ignore[attr-defined]
    prepared = method.prepare(model(), Context(suite="vtab", task="synthetic", seed=0))
    assert max(rates(prepared)) == 0.1
    images = torch.zeros(64, 3, 16, 16)
    assert torch.equal(prepared.eval()(images), prepared(images))
    assert len(prepared.train()(images).unique(dim=0)) > 1


def test_a_rate_is_a_rate():
    for method in (FacT, Convpass):
        with pytest.raises(ValueError, match=r"drop_path=1.0 is a rate: from 0 to below 1"):
            method(drop_path=1.0)


def test_no_option_is_without_effect():
    """`init` is where it is heeded, and nowhere else."""
    config = AdaptFormer(rank=4).config(model(), **FIELDS)
    assert config == preset("adaptformer", faithful=True, r=4, **FIELDS) and config.dropout == 0.1  # type: ignore[attr-defined]
    for method in (AdaptFormer, Houlsby, Convpass, *RELEASED.values()):
        with pytest.raises(TypeError, match="init"):
            method(init="normal")
    starts = [Pfeiffer(init=init).config(model(), **FIELDS) for init in ("normal", "zero_up")]
    assert [start.init for start in starts] == ["normal", "zero_up"]  # type: ignore[attr-defined]
