from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.adapters.presets import preset
from sparsebench.models.anatomy import Wrapper

Make = Callable[[str], nn.Module]
PLACEMENTS = ("shared", "ffn", "after")


def change(layer: Any, x: Tensor) -> Tensor:
    """scale up(gelu(down(x)))."""
    down, up = layer.adapter.down, layer.adapter.up
    return layer.scale * (F.gelu(x @ down.weight.T + down.bias) @ up.weight.T + up.bias)


def block_formula(block: Any, layers: list[Any], x: Tensor) -> Tensor:
    """The block of timm or transformers with each adapter where the placement says."""
    if hasattr(block, "attn"):
        attention = lambda z: block.ls1(block.attn(block.norm1(z)))  # noqa: E731
        ffn = lambda z: block.ls2(block.mlp(block.norm2(z)))  # noqa: E731
    else:
        attention = lambda z: block.attention(block.layernorm_before(z))[0]  # noqa: E731
        ffn = lambda z: block.mlp(block.layernorm_after(z))  # noqa: E731
    x = x + attention(x) + sum(change(layer, x) for layer in layers if layer.placement == "shared")
    x = x + ffn(x) + sum(change(layer, x) for layer in layers if layer.placement in ("shared", "ffn"))
    return x + sum(change(layer, x) for layer in layers if layer.placement == "after")


@pytest.mark.parametrize("scale", [0.1, "channel"])
@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize("family", ["timm_vit", "layer_scale", "vit"])
def test_equals_the_formula(
    family: str, placement: Any, scale: Any, make: Make, shake: Callable, example: Callable, run: Callable
) -> None:
    model, plain = make(family).double(), make(family).double()
    adapters = attach(model, StreamConfig(placement=placement, scale=scale))
    shake(adapters)
    seen = {}
    for place, layer in adapters.layers():
        block = plain.get_submodule(place)
        block.register_forward_pre_hook(lambda module, args, place=place: seen.update({place: args[0]}))
        block.register_forward_hook(
            lambda module, args, out, place=place, layer=layer: block_formula(module, [layer], seen[place])
        )
    batch = example(model).double()
    torch.testing.assert_close(run(model, batch), run(plain, batch))


def test_sets_around_one_block_add_up(make: Make, shake: Callable) -> None:
    model, plain = make("timm_vit").double(), make("timm_vit").double()
    sets = [attach(model, StreamConfig(placement=placement), placement) for placement in PLACEMENTS]
    for i, adapters in enumerate(sets):
        shake(adapters, 0.1 + 0.1 * i)
    layers = [next(iter(adapters.layers()))[1] for adapters in sets]
    x = torch.randn(2, 5, 32, dtype=torch.float64)
    for off in ("", *PLACEMENTS):
        for adapters in sets:
            adapters.disable() if adapters.name == off else adapters.enable()
        expected = block_formula(plain.blocks[0], [layer for layer in layers if layer.owner != off], x)
        torch.testing.assert_close(model.blocks[0](x), expected)


def test_attention_mask_reaches_the_attention(make: Make, shake: Callable) -> None:
    model, plain = make("timm_vit"), make("timm_vit")
    x, mask = torch.randn(2, 5, 32), torch.ones(5, 5, dtype=torch.bool).tril()
    shake(attach(model, StreamConfig(placement="after", scale=0.0)))
    assert torch.equal(model.blocks[0](x, attn_mask=mask), plain.blocks[0](x, attn_mask=mask))
    assert not torch.equal(model.blocks[0](x), plain.blocks[0](x, attn_mask=mask))


@pytest.mark.parametrize("name", ["idat_sequential", "idat_adaptformer", "idat_shared_parallel"])
def test_released_start_of_idat_changes_the_model(name: str, make: Make, example: Callable, run: Callable) -> None:
    model = make("timm_vit")
    before = run(model, example(model))
    fixed = attach(model, preset(name))
    assert torch.equal(run(model, example(model)), before)
    fixed.remove()
    adapters = attach(model, preset(name, faithful=True))
    weights = torch.cat([weight.flatten() for weight in adapters.weights().values()])
    assert abs(weights.std() - 0.02) < 2e-3
    after = run(model, example(model))
    assert not torch.equal(after, before) and torch.allclose(after, before, atol=0.1)


@pytest.mark.parametrize("name", ["adaptformer", "adapter_plus"])
def test_presets(name: str, make: Make, example: Callable, run: Callable) -> None:
    """AdaptFormer starts as no change and drops hidden units; Adapter+ starts near it and has a scale per channel."""
    model = make("timm_vit")
    before = run(model, example(model))
    adapters = attach(model, preset(name))
    (_, layer), *_ = adapters.layers()
    if name == "adaptformer":
        assert torch.equal(run(model, example(model)), before)
        assert (layer.placement, layer.scale, layer.adapter.dropout.p) == ("ffn", 0.1, 0.1)
    else:
        assert not torch.equal(run(model, example(model)), before)
        assert torch.equal(layer.scale.detach(), torch.ones(32)) and layer.adapter.up.weight.abs().max() <= 0.02


@pytest.mark.parametrize(
    ("family", "message"),
    [
        ("bert", "is a BertLayer, not known as a sum.*use BottleneckConfig"),
        ("llama", "is a LlamaDecoderLayer, not known as a sum.*use BottleneckConfig"),
        ("efficientnet", "ConvConfig for a convolutional network"),
    ],
)
def test_only_for_sums(family: str, message: str, make: Make) -> None:
    with pytest.raises(ValueError, match=message):
        attach(make(family), StreamConfig())


def test_what_lies_inside_is_not_passed_over(make: Make, example: Callable, run: Callable) -> None:
    """SSF lies inside the parts of the block, where it acts; a foreign wrapper of the block itself raises."""
    model = make("timm_vit")
    attach(model, StreamConfig(), "stream")
    before = run(model, example(model))
    attach(model, SSFConfig(init="normal"), "ssf")
    assert not torch.allclose(run(model, example(model)), before, atol=1e-4)
    model.blocks[0].base_layer = Wrapper(model.blocks[0].base_layer)
    with pytest.raises(ValueError, match="a Wrapper was attached inside adapters on the stream"):
        run(model, example(model))


@pytest.mark.parametrize(
    ("values", "message"),
    [({"placement": "shard"}, "did you mean 'shared'"), ({"scale": "chanel"}, "scale='chanel' must be")],
)
def test_bad_configurations(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StreamConfig(**values)
