import torch
from timm.models.convnext import ConvNeXt

from sparsebench.models.anatomy import describe

SMALL = {"depths": (1, 1, 1, 2), "dims": (8, 8, 16, 16), "num_classes": 3}


def test_an_ffn_whose_last_dimension_is_the_channels() -> None:
    block = describe(ConvNeXt(**SMALL)).blocks[-1]
    assert block.mlp is not None and block.mlp.kind == "plain" and block.mlp.width == 16
    assert block.attention is None and [site.name for site in block.convs] == ["conv_dw"]
    assert block.mlp.site.get()(torch.randn(2, 3, 4, 16)).shape == (2, 3, 4, 16)


def test_an_ffn_of_pointwise_convolutions() -> None:
    block = describe(ConvNeXt(**SMALL, conv_mlp=True)).blocks[0]
    assert block.mlp is not None and block.mlp.kind == "conv" and (block.mlp.width, block.mlp.hidden) == (8, 32)
    assert [site.name for site in block.convs] == ["conv_dw", "fc1", "fc2"] and block.linears == block.convs[1:]


def test_head_and_final_norm() -> None:
    anatomy = describe(ConvNeXt(**SMALL))
    assert anatomy.head is not None and anatomy.head.path == "head.fc"
    assert anatomy.final_norm is not None and anatomy.final_norm.path == "head.norm"
    before_pooling = describe(ConvNeXt(**SMALL | {"num_classes": 0}, head_norm_first=True))
    assert before_pooling.head is None
    assert before_pooling.final_norm is not None and before_pooling.final_norm.path == "norm_pre"
