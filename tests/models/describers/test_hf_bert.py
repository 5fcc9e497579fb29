from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_the_ffn_is_spread_over_two_modules(name: str, build: Build) -> None:
    block = describe(build(name)).blocks[0]
    mlp = block.mlp
    assert mlp is not None and mlp.tail is not None and mlp.add_norm is not None and mlp.down is not None
    assert block.post_norm and not block.branches
    assert mlp.site.path.endswith("intermediate") and mlp.tail.path.endswith("output.dense")
    assert mlp.down.get() is mlp.tail.get()
    x = torch.randn(2, 5, 32)
    expected = mlp.add_norm.get()(mlp.site.get()(x), x)
    torch.testing.assert_close(block.site.get().feed_forward_chunk(x), expected)


@pytest.mark.parametrize(("name", "head"), [("bert", "classifier"), ("roberta", "classifier")])
def test_head(name: str, head: str, build: Build) -> None:
    model = build(name)
    found = describe(model).head
    assert found is not None and found.path == head
    assert describe(model.base_model).head is None


def test_norms_follow_the_sums(build: Build) -> None:
    block = describe(build("bert")).blocks[1]
    assert [site.path.rpartition("layer.1.")[2] for site in block.norms] == [
        "attention.output.LayerNorm",
        "output.LayerNorm",
    ]


def test_no_image_tokens(build: Build) -> None:
    assert describe(build("bert")).prefix_tokens is None
