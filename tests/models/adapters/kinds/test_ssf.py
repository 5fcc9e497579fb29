from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from timm.layers import BatchNormAct2d
from torch import Tensor, nn
from transformers import GemmaConfig, GemmaModel

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig, SSFLayer, SSFNorm

Make = Callable[[str], nn.Module]


def pair(channels: int) -> tuple[nn.Parameter, nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    scale, shift = (torch.randn(channels, generator=generator, dtype=torch.float64) for _ in range(2))
    return nn.Parameter(scale), nn.Parameter(shift)


def broadcast(scale: Tensor, shift: Tensor, y: Tensor) -> Tensor:
    channels_last = y.shape[-1] == len(scale)
    return y * scale + shift if channels_last else y * scale[:, None, None] + shift[:, None, None]


@pytest.mark.parametrize(
    ("base", "shape"),
    [
        (nn.Linear(5, 6), (2, 3, 5)),
        (nn.Linear(5, 6, bias=False), (2, 3, 5)),
        (nn.Conv2d(4, 6, 3, padding=1, groups=2), (2, 4, 7, 8)),
        (nn.Conv2d(4, 6, 3, stride=2, bias=False), (2, 4, 7, 8)),
    ],
)
def test_layers_equal_the_formula_before_and_after_merging(base: nn.Module, shape: tuple[int, ...]) -> None:
    base, (scale, shift) = base.double(), pair(6)
    layer, x = SSFLayer(base, scale, shift), torch.randn(shape, dtype=torch.float64)
    expected, without_bias = broadcast(scale, shift, base(x)), base.bias is None
    torch.testing.assert_close(layer(x), expected)
    layer.merge()
    assert base.bias.requires_grad != without_bias, "a bias that merging makes is not trained"
    shift.data += 1  # what is merged does not follow the adapter
    torch.testing.assert_close(base(x), expected)
    shift.data -= 1
    layer.unmerge()
    assert (base.bias is None) == without_bias
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize(
    ("base", "shape"),
    [
        (nn.LayerNorm(6), (2, 3, 6)),
        (nn.BatchNorm2d(6), (2, 6, 4, 5)),
        (nn.GroupNorm(2, 6), (2, 6, 4, 5)),
        (BatchNormAct2d(6, act_layer=nn.ReLU), (2, 6, 4, 5)),
    ],
)
def test_norms_equal_the_formula_before_their_activation(base: nn.Module, shape: tuple[int, ...]) -> None:
    base, (scale, shift) = base.double().eval(), pair(6)
    for value in (*base.parameters(), *base.buffers()):
        if value.is_floating_point():
            value.data.uniform_(0.5, 1.5)
    layer, x = SSFNorm(base, scale, shift), torch.randn(shape, dtype=torch.float64)
    if isinstance(base, BatchNormAct2d):
        plain = F.batch_norm(x, base.running_mean, base.running_var, base.weight, base.bias, eps=base.eps)
        expected = broadcast(scale, shift, plain).relu()
    else:
        expected = broadcast(scale, shift, base(x))
    torch.testing.assert_close(layer(x), expected)
    layer.merge()
    torch.testing.assert_close(base(x), expected)


@pytest.mark.parametrize("family", ["timm_vit", "vit", "bert", "llama"])
def test_model_with_scaled_and_shifted_modules(
    family: str, make: Make, shake: Callable, example: Callable, run: Callable
) -> None:
    """A copy of the model whose modules are scaled and shifted by hooks gives the same."""
    model, plain = make(family).double(), make(family).double()
    adapters = attach(model, SSFConfig())
    shake(adapters)
    for place, layer in adapters.layers():
        scale, shift = layer.scale, layer.shift if layer.shift is not None else torch.zeros_like(layer.scale)
        plain.get_submodule(place).register_forward_hook(
            lambda module, args, y, scale=scale, shift=shift: broadcast(scale, shift, y)
        )
    batch = example(model)
    batch = batch.double() if batch.is_floating_point() else batch
    torch.testing.assert_close(run(model, batch), run(plain, batch))


def test_places(make: Make) -> None:
    adapters = attach(make("timm_vit"), SSFConfig())
    block = ("norm1", "attn.qkv", "attn.proj", "norm2", "mlp.fc1", "mlp.fc2")
    blocks = [f"blocks.{i}.{name}" for i in range(2) for name in block]
    assert [place for place, _ in adapters.layers()] == ["patch_embed.proj", *blocks, "norm"]
    places = dict(attach(make("llama"), SSFConfig()).layers())
    assert places["model.norm"].shift is None and places["model.layers.0.mlp.gate_proj"].shift is not None


def test_released_start(make: Make, example: Callable, run: Callable) -> None:
    model = make("timm_vit")
    before = run(model, example(model))
    layers = [layer for _, layer in attach(model, SSFConfig(init="normal")).layers()]
    scales, shifts = (torch.cat([getattr(layer, name) for layer in layers]) for name in ("scale", "shift"))
    assert abs(scales.mean() - 1) < 3e-3 and abs(shifts.mean()) < 3e-3
    assert abs((scales - 1 - shifts).std() - 0.02 * 2**0.5) < 3e-3, "scale and shift are drawn apart"
    assert abs(scales.std() - 0.02) < 2e-3 and abs(shifts.std() - 0.02) < 2e-3
    assert not torch.equal(run(model, example(model)), before)


@pytest.mark.parametrize("earlier", [BitFitConfig(), NormTuningConfig()])
def test_refuses_what_an_older_set_replaces(earlier: object, make: Make) -> None:
    """Folding into a bias that another set holds a copy of would change nothing."""
    model = make("timm_vit")
    attach(model, earlier, "old")
    with pytest.raises(ValueError, match=r"adapters 'old' hold its bias(, weight)?: attach this kind before them"):
        attach(model, SSFConfig(), "new")


def test_bad_configuration() -> None:
    with pytest.raises(ValueError, match="did you mean 'identity'"):
        SSFConfig(init="identify")


def test_a_norm_that_multiplies_by_one_more_than_its_weight() -> None:
    """The output is scaled, that is 1 + weight, whatever the weight is."""
    config = GemmaConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=4, vocab_size=32, head_dim=4
    )
    model = GemmaModel(config).double()
    norm = model.layers[0].input_layernorm
    norm.weight.data.zero_()
    x = torch.randn(3, 16, dtype=torch.float64)
    before = norm(x)
    adapters = attach(model, SSFConfig(train_head=False))
    layer = model.layers[0].input_layernorm
    assert isinstance(layer, SSFNorm)
    layer.scale.data.copy_(torch.arange(16) / 4)
    torch.testing.assert_close(layer(x), before * layer.scale, check_dtype=False)
    adapters.merge()
    torch.testing.assert_close(norm(x), before * layer.scale, check_dtype=False)
