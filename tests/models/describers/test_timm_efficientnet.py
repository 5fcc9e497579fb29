from collections.abc import Callable

import pytest
import timm
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.efficientnet import EfficientNet
from timm.models.mobilenetv3 import MobileNetV3
from torch import nn

from sparsebench.models.anatomy import describe

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "efficientnet_b0"])
def test_efficientnet(name: str) -> None:
    model = timm.create_model(name)
    anatomy = describe(model)
    assert len(anatomy.blocks) == 16 and anatomy.width == 1280
    assert anatomy.blocks[0].mlp is None and len(anatomy.blocks[0].linears) == 1
    mlp = anatomy.blocks[1].mlp
    assert mlp is not None and mlp.kind == "conv" and mlp.hidden == 6 * mlp.width
    assert all(site.get().kernel_size == (1, 1) for block in anatomy.blocks for site in block.linears)
    assert anatomy.head is not None and anatomy.head.path == "classifier"


def test_blocks_have_no_attention_and_no_image_tokens(build: Build) -> None:
    anatomy = describe(build("efficientnet"))
    assert all(block.attention is None and not block.branches for block in anatomy.blocks)
    assert anatomy.prefix_tokens is None


UNITS = [
    ["ds_r1_k3_s1_e1_c8"],
    ["er_r1_k3_s1_e2_c8"],
    ["ir_r1_k5_s2_e2_c8_se0.25"],
    ["uir_r1_a3_k3_s1_e2_c8"],
    ["cn_r1_k1_s1_c8"],
]


@pytest.mark.parametrize("cls", [EfficientNet, MobileNetV3])
def test_units_of_every_kind(cls: type[nn.Module]) -> None:
    model = cls(decode_arch_def(UNITS), num_classes=3)
    anatomy = describe(model)
    names = [[site.path.split(".", 3)[3] for site in block.convs] for block in anatomy.blocks]
    assert names == [
        ["conv_dw", "conv_pw"],
        ["conv_exp", "conv_pwl"],
        ["conv_pw", "conv_dw", "conv_pwl"],
        ["dw_start.conv", "pw_exp.conv", "dw_mid.conv", "pw_proj.conv"],
        ["conv"],
    ]
    assert all(site.get().kernel_size == (1, 1) for block in anatomy.blocks for site in block.linears)
    assert [len(block.linears) for block in anatomy.blocks] == [1, 1, 2, 2, 1]
    assert [block.mlp is not None for block in anatomy.blocks] == [False, False, True, True, False]
    assert [block.removable for block in anatomy.blocks] == [False, True, False, True, False]
    assert anatomy.head is not None and anatomy.head.path == "classifier"


def test_convolutions_of_mixed_kernels_have_no_order_of_plain_ones() -> None:
    blocks = describe(timm.create_model("mixnet_s")).blocks
    assert blocks[0].convs and not blocks[-1].convs


def test_the_convolution_before_the_pooling() -> None:
    assert [site.path for site in describe(timm.create_model("mobilenetv2_050")).last_convs] == ["conv_head"]
    assert describe(timm.create_model("mobilenetv3_small_050")).last_convs == ()
