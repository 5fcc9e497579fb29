import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, attach
from sparsebench.models.adapters.config import AdapterConfig, CombinedConfig
from sparsebench.models.adapters.kinds.convpass import (
    Convpass,
    ConvpassConfig,
    PatchGrid,
    PatchGridObserver,
    patch_convolution,
)
from sparsebench.models.adapters.kinds.prompts import PromptConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.adapters.presets import preset
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

from ..conftest import hf_vit, vit

Make = Callable[[str], nn.Module]


def naive(adapter: Convpass, x: Tensor, prefix: int, side: int, columns: int | None = None) -> Tensor:
    """Neighbour by neighbour: up(gelu(conv(gelu(down(x))))). `side` is the number of rows; of columns, as many."""
    columns = side if columns is None else columns
    project_in, conv, project_out = adapter.project_in, adapter.conv, adapter.project_out
    low = F.gelu(x @ project_in.weight.T + project_in.bias)
    new = conv.bias.expand(low.shape).clone()
    new[:, :prefix] += low[:, :prefix] @ conv.weight[:, :, 1, 1].T
    for row in range(side):
        for column in range(columns):
            for i in (-1, 0, 1):
                for j in (-1, 0, 1):
                    if 0 <= row + i < side and 0 <= column + j < columns:
                        near = low[:, prefix + (row + i) * columns + column + j]
                        new[:, prefix + row * columns + column] += near @ conv.weight[:, :, i + 1, j + 1].T
    return F.gelu(new) @ project_out.weight.T + project_out.bias


@pytest.mark.parametrize(("prefix", "side"), [(0, 3), (1, 3), (5, 4), (1, 1)])
def test_equals_the_formula(prefix: int, side: int) -> None:
    config, generator = ConvpassConfig(r=3, init="normal"), torch.Generator().manual_seed(0)
    adapter = Convpass(8, prefix, config, generator).double()
    for parameter in adapter.parameters():
        parameter.data.normal_(generator=generator)
    x = torch.randn(2, prefix + side * side, 8, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(adapter(x), naive(adapter, x, prefix, side))


@pytest.mark.parametrize(("family", "prefix"), [("timm_vit", 1), ("no_class_token", 0), ("registers", 3), ("vit", 1)])
def test_beside_attention_and_ffn(
    family: str, prefix: int, make: Make, shake: Callable, example: Callable, run: Callable
) -> None:
    """A copy of the model with the adapter's output added by hooks gives the same."""
    model, plain = make(family).double(), make(family).double()
    adapters = attach(model, ConvpassConfig(r=3, scale=2.0))
    shake(adapters)

    def add(module: nn.Module, args: tuple, out: Any, layer: Any) -> Any:
        change = 2 * naive(layer.adapter, args[0], prefix, 2)
        return (out[0] + change, *out[1:]) if isinstance(out, tuple) else out + change

    for place, layer in adapters.layers():
        plain.get_submodule(place).register_forward_hook(
            lambda module, args, out, layer=layer: add(module, args, out, layer)
        )
    batch = example(model).double()
    torch.testing.assert_close(run(model, batch), run(plain, batch))


def wide(**options: Any) -> nn.Module:
    """A ViT whose images have 2 x 8 patches, which could be taken for 4 x 4."""
    return vit(img_size=(32, 128), depth=1, **options)


def hf_wide() -> nn.Module:
    return hf_vit(num_hidden_layers=1, image_size=(32, 128), patch_size=(16, 16))


def seen_by(adapters: AdapterSet, model: nn.Module, batch: Tensor, rows: int, columns: int) -> None:
    """Checks each adapter on the input that it gets for this batch."""
    found: list[tuple[Convpass, Tensor, Tensor]] = []
    hooks = []
    for _, layer in adapters.layers():
        hooks.append(layer.adapter.register_forward_hook(lambda module, args, out: found.append((module, *args, out))))
    with torch.no_grad():
        model(batch)
    for hook in hooks:
        hook.remove()
    assert len(found) == 2
    for adapter, x, out in found:
        torch.testing.assert_close(out, naive(adapter, x, 1, rows, columns))


def test_the_grid_of_an_image_that_is_not_square(shake: Callable) -> None:
    model = hf_wide()
    adapters = attach(model, ConvpassConfig(r=3))
    shake(adapters)
    seen_by(adapters, model, torch.randn(2, 3, 32, 128), 2, 8)


def test_the_grid_follows_the_image(shake: Callable) -> None:
    """16 patches, first 2 x 8 of them, then 4 x 4: the number does not tell."""
    model = wide(dynamic_img_size=True)
    parts = (ConvpassConfig(r=3, parts=("attention",)), ConvpassConfig(r=3, parts=("mlp",)))
    adapters = attach(model, CombinedConfig(parts=parts))
    shake(adapters)
    for rows, columns in ((2, 8), (4, 4), (8, 2), (3, 5)):
        seen_by(adapters, model, torch.randn(2, 3, 16 * rows, 16 * columns), rows, columns)
    copied = copy.deepcopy(model)
    batch = torch.randn(2, 3, 64, 64)
    assert torch.equal(copied(batch), model(batch))
    adapters.remove()
    assert type(model.patch_embed.proj) is nn.Conv2d


def test_tokens_that_are_not_the_whole_grid_are_refused() -> None:
    model = wide(patch_drop_rate=0.5).train()
    attach(model, ConvpassConfig(r=3))
    with pytest.raises(ModelError, match=r"8 patches are not the 2 x 8 grid of the image.*set the rate"):
        model(torch.randn(2, 3, 32, 128))


def test_attention_only(make: Make) -> None:
    adapters = attach(make("timm_vit"), ConvpassConfig(parts=("attention",)))
    assert [place for place, _ in adapters.layers()] == ["blocks.0.attn", "blocks.1.attn"]


@pytest.mark.parametrize("configs", [(PromptConfig(), ConvpassConfig()), (ConvpassConfig(), PromptConfig())])
def test_not_together_with_prompts(configs: tuple[AdapterConfig, AdapterConfig], make: Make) -> None:
    model = make("timm_vit")
    attach(model, configs[0], "old")
    with pytest.raises(ValueError, match=r"adapters 'old' .*patches|patches that adapters 'old'"):
        attach(model, configs[1], "new")


def test_faithful_activation() -> None:
    faithful, fixed = preset("convpass", faithful=True), preset("convpass")
    x = torch.linspace(-4, 4, 9)
    assert isinstance(faithful, ConvpassConfig) and isinstance(fixed, ConvpassConfig)
    adapters = [Convpass(8, 1, config, torch.Generator().manual_seed(0)) for config in (faithful, fixed)]
    torch.testing.assert_close(adapters[0].activation(x), x / (1 + torch.exp(-1.702 * x)))
    torch.testing.assert_close(adapters[1].activation(x), F.gelu(x))
    assert adapters[0].dropout.p == 0.1


def test_both_starts_are_no_change() -> None:
    """What else differs between them is in `test_presets.py`."""
    for faithful in (True, False):
        config = preset("convpass", faithful=faithful)
        assert isinstance(config, ConvpassConfig)
        adapter = Convpass(768, 1, config, torch.Generator().manual_seed(0))
        assert not adapter.project_out.weight.any()
        x = torch.randn(2, 8, 3, 3)
        assert torch.equal(adapter.conv(x), x)


def test_refusals(make: Make) -> None:
    for family, cure in (("bert", "use BottleneckConfig"), ("efficientnet", "ConvConfig")):
        with pytest.raises(ValueError, match=f"does not see an image as tokens.*{cure}"):
            attach(make(family), ConvpassConfig())
    adapter = Convpass(8, 1, ConvpassConfig(), torch.Generator())
    with pytest.raises(ValueError, match="6 patches are not a square"):
        adapter(torch.zeros(1, 7, 8))
    with pytest.raises(ValueError, match="did you mean 'attention'"):
        ConvpassConfig(parts=("atention",))


def test_the_convolution_that_makes_the_patches() -> None:
    model = vit(depth=1)
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
    model = vit(depth=1)
    adapters = attach(model, ConvpassConfig(r=2))
    assert isinstance(model.patch_embed.proj, PatchGridObserver)
    assert [place for place, _ in adapters.layers()] == ["blocks.0.attn", "blocks.0.mlp"]
    attach(model, ConvpassConfig(r=2), "second")
    adapters.remove()
    assert isinstance(model.patch_embed.proj, PatchGridObserver), "that of the other set"
