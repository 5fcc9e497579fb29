from collections.abc import Callable

import pytest
import timm
from torch import nn

from sparsebench.models.anatomy import describe

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "efficientnet_b0"])
def test_efficientnet(name: str, build: Build) -> None:
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
