"""The class of a changed network of timm: what it tells timm's savers, copies of it, and the way back."""

import copy
import pickle
from typing import Any

import pytest
import timm
import torch
from timm.data.config import resolve_data_config
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.dynamic import ConvConfig, MixtureConfig, make_dynamic
from sparsebench.models.hub.timm_models import FIELD, ChangedTimm, described, timm_name
from sparsebench.models.moe import MoEConfig, convert, to_dense

SIZES: dict[str, Any] = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 3}
NAME = "vit_tiny_patch16_224"


@pytest.fixture
def vit() -> Any:
    return timm.create_model(NAME, **SIZES)


def test_what_was_changed_is_in_the_configuration_as_it_is_now(vit: Any) -> None:
    source = type(vit)
    convert(vit, MoEConfig(num_experts=4))
    make_dynamic(vit, MixtureConfig(num_kernels=2, top_k=1, targets=("o",)))
    assert isinstance(vit, ChangedTimm) and isinstance(vit, source)
    said = vit.pretrained_cfg
    assert said[FIELD]["class"] == timm_name(vit) == NAME and said[FIELD]["parts"].keys() == {"moe", "dynamic"}
    assert said["architecture"].startswith(NAME) and not timm.is_model(said["architecture"])
    assert resolve_data_config(model=vit)["mean"] == said["mean"] == vit.default_cfg["mean"]
    to_dense(vit)
    assert vit.pretrained_cfg[FIELD]["parts"].keys() == {"dynamic"}
    vit.pretrained_cfg = {"architecture": "another"}
    assert timm_name(vit) == "another"


def test_the_class_goes_with_the_last_layer(vit: Any) -> None:
    source = type(vit)
    convert(vit, MoEConfig(num_experts=4))
    assert type(vit) is not source
    assert type(to_dense(vit)) is source and vit.pretrained_cfg["architecture"] == NAME


def test_copies(vit: Any) -> None:
    make_dynamic(vit.eval(), MixtureConfig(num_kernels=2, top_k=1))
    x = torch.ones(1, 3, 32, 32)
    for other in (copy.deepcopy(vit), pickle.loads(pickle.dumps(vit))):
        assert type(other) is type(vit) and other.pretrained_cfg == vit.pretrained_cfg
        assert torch.equal(other(x), vit(x))


def test_what_timm_s_files_cannot_say_is_said(vit: Any) -> None:
    make_dynamic(vit, MixtureConfig(num_kernels=2, top_k=1))
    attach(vit, LoRAConfig(r=2))
    assert described(vit)["refused"].startswith("adapters on it: take them off")
    within = make_dynamic(nn.Sequential(timm.create_model("resnet10t")), ConvConfig(), modules="0.layer1")
    assert "were not made by make_dynamic" in described(within[0])["refused"]
