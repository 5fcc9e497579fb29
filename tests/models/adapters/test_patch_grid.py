import timm
import torch
from torch import nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.adapters.patch_grid import PatchGrid, PatchGridObserver, patch_convolution
from sparsebench.models.anatomy import describe


def vit() -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=1, num_heads=4, num_classes=3)


def test_the_convolution_that_makes_the_patches() -> None:
    model = vit()
    site = patch_convolution(describe(model))
    assert site is not None and site.path == "patch_embed.proj" and site.get() is model.patch_embed.proj
    attach(model, SSFConfig())
    below = patch_convolution(describe(model))
    assert below is not None and below.path == "patch_embed.proj.base_layer"


def test_it_notes_the_grid_and_changes_nothing() -> None:
    conv = nn.Conv2d(3, 4, 2, 2)
    grid = PatchGrid((1, 1))
    observer = PatchGridObserver(conv, grid)
    x = torch.randn(2, 3, 6, 10)
    assert torch.equal(observer(x), conv(x)) and grid.size == (3, 5)
    observer.enabled = False
    observer(x[..., :4])
    assert grid.size == (3, 2) and observer.weight is conv.weight


def test_it_is_no_layer_of_its_set_and_goes_with_it() -> None:
    model = vit()
    adapters = attach(model, ConvpassConfig(r=2))
    assert isinstance(model.patch_embed.proj, PatchGridObserver)
    assert [place for place, _ in adapters.layers()] == ["blocks.0.attn", "blocks.0.mlp"]
    attach(model, ConvpassConfig(r=2), "second")
    adapters.remove()
    assert isinstance(model.patch_embed.proj, PatchGridObserver), "that of the other set"
