from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.bottleneck import SequentialAdapter
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.lora import LoRALayer
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.adapters.sites import backbone_sites, is_norm, kinds_for, wrappers_over
from sparsebench.models.anatomy import Site, describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("family", ["bert", "llama", "timm_vit", "efficientnet"])
def test_everything_with_parameters_but_the_head(family: str, build: Build) -> None:
    model = build(family)
    anatomy = describe(model)
    paths = [site.path for site in backbone_sites(anatomy, AdapterConfig())]
    head = anatomy.head.path
    expected = [
        name
        for name, module in model.named_modules()
        if module._parameters and name and not f"{name}.".startswith(f"{head}.")
    ]
    assert paths == [name for name in expected if any(True for _ in model.get_submodule(name).parameters())]


@pytest.mark.parametrize("config", [FacTConfig(r=2), SSFConfig()])
def test_no_kind_leaves_fused_experts_out_silently(config: AdapterConfig, build: Build) -> None:
    converted = build("timm_vit")
    convert(converted, MoEConfig(num_experts=4, top_k=2, layers=(1,)))
    for model in (build("mixtral"), converted):
        names = list(model.state_dict())
        with pytest.raises(ModelError, match=r"has no place in the fused experts of \S+: LoRAConfig"):
            attach(model, config)
        assert list(model.state_dict()) == names


def test_experts_are_left_out_where_that_is_said(build: Build) -> None:
    adapters = attach(build("mixtral"), SSFConfig(experts=False))
    assert not any(place.endswith("experts") for place, _ in adapters.layers())


def test_from_the_first_chosen_block_on(build: Build) -> None:
    model = build("timm_vit")
    paths = [site.path for site in backbone_sites(describe(model), AdapterConfig(blocks=1))]
    assert paths[0] == "blocks.1.norm1" and paths[-1] == "norm"
    assert not any(path.startswith(("blocks.0", "patch_embed")) for path in paths)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        (nn.LayerNorm(3), True),
        (nn.BatchNorm2d(3), True),
        (nn.GroupNorm(1, 3), True),
        (nn.RMSNorm(3), True),
        (nn.LayerNorm(3, elementwise_affine=False), False),
        (nn.LayerNorm((2, 3)), False),
        (nn.Linear(3, 3), False),
    ],
)
def test_norms(module: nn.Module, expected: bool) -> None:
    assert is_norm(module) == expected


def test_wrappers_from_the_outside_in(build: Build) -> None:
    model = build("bert")
    attach(model, BottleneckConfig(r=2, placement="houlsby"), "first")
    attach(model, LoRAConfig(r=2, targets=("o",)), "second")
    site = describe(model).blocks[0].attention.o
    assert isinstance(site, Site)
    found = list(wrappers_over(model, site))
    assert [type(wrapper) for wrapper in found] == [SequentialAdapter, LoRALayer]
    assert [wrapper.owner for wrapper in found] == ["first", "second"]
    assert isinstance(site.get(), nn.Linear) and torch.is_tensor(site.get().weight)


@pytest.mark.parametrize(
    ("family", "kinds"),
    [
        ("bert", "BottleneckConfig or LoRAConfig(targets=('linears',))"),
        ("efficientnet", "ConvConfig for a convolutional network or LoRAConfig(targets=('linears',))"),
    ],
)
def test_kinds_that_fit(family: str, kinds: str, build: Build) -> None:
    assert kinds_for(*describe(build(family)).blocks) == kinds
