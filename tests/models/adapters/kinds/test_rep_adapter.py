from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapter, RepAdapterConfig

Make = Callable[[str], nn.Module]


def convolved(adapter: RepAdapter, x: Tensor) -> Tensor:
    """x + scale up(down(x)) as convolutions of width 1 over the tokens, the second one with groups."""
    low = F.conv1d(x.mT, adapter.project_in.weight[..., None], adapter.project_in.bias)
    high = F.conv1d(low, adapter.project_out.weight[..., None], adapter.project_out.bias, groups=adapter.groups)
    return x + adapter.scale * high.mT


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_equals_the_formula(groups: int) -> None:
    generator = torch.Generator().manual_seed(0)
    adapter = RepAdapter(12, RepAdapterConfig(r=4, groups=groups, scale=0.5), generator).double()
    for parameter in adapter.parameters():
        parameter.data.normal_(generator=generator)
    x = torch.randn(2, 5, 12, dtype=torch.float64, generator=generator)
    torch.testing.assert_close(adapter(x), convolved(adapter, x))
    matrix, constant = adapter.matrix()
    torch.testing.assert_close(x + x @ matrix.T + constant, convolved(adapter, x))


@pytest.mark.parametrize("family", ["timm_vit", "vit", "bert", "llama"])
def test_before_attention_and_ffn(family: str, make: Make, shake: Callable, example: Callable, run: Callable) -> None:
    """A copy of the model whose attention and FFN get their input through the adapters by hooks gives the same."""
    model, plain = make(family).double(), make(family).double()
    adapters = attach(model, RepAdapterConfig(r=4))
    shake(adapters)
    for place, layer in adapters.layers():
        plain.get_submodule(place).register_forward_pre_hook(
            lambda module, args, adapter=layer.adapter: (convolved(adapter, args[0]),)
        )
    batch = example(model)
    batch = batch.double() if batch.is_floating_point() else batch
    torch.testing.assert_close(run(model, batch), run(plain, batch))


def test_matrices_that_read_one_input_share_an_adapter(make: Make) -> None:
    places = dict(attach(make("llama"), RepAdapterConfig(r=4)).layers())
    layer = "model.layers.0."
    q, k, v = (places[f"{layer}self_attn.{name}_proj"].adapter for name in "qkv")
    gate, up = (places[f"{layer}mlp.{name}_proj"].adapter for name in ("gate", "up"))
    assert q is k is v and gate is up and q is not gate and len(places) == 10


def test_merging_makes_and_removes_biases(make: Make, shake: Callable) -> None:
    model = make("llama")
    adapters = attach(model, RepAdapterConfig(r=4))
    shake(adapters)
    adapters.merge()
    q = model.model.layers[0].self_attn.q_proj
    assert q.bias is not None and not q.bias.requires_grad
    adapters.unmerge()
    assert q.bias is None


def test_pruned_adapter_merges(make: Make, shake: Callable, example: Callable, run: Callable) -> None:
    model = make("timm_vit")
    adapters = attach(model, RepAdapterConfig(r=4))
    shake(adapters)
    generator = torch.Generator().manual_seed(0)
    for layer in adapters.prunable().values():
        layer.prune(torch.rand(layer.shape, generator=generator) < 0.5)
    before = run(model, example(model))
    adapters.merge()
    torch.testing.assert_close(run(model, example(model)), before, atol=1e-5, rtol=1e-5)


def test_refusals(make: Make) -> None:
    with pytest.raises(ValueError, match=r"no plain linear layers at the input .*ConvConfig"):
        attach(make("efficientnet"), RepAdapterConfig(r=4))
    with pytest.raises(ValueError, match="no plain linear layers at the input of its attention and mlp"):
        attach(make("mixtral"), RepAdapterConfig(r=4))
    model = make("timm_vit")
    attach(model, BitFitConfig(), "old")
    with pytest.raises(ValueError, match="adapters 'old' hold its bias: attach this kind before them"):
        attach(model, RepAdapterConfig(), "new")


def test_attention_of_a_mixture(make: Make) -> None:
    assert len(list(attach(make("mixtral"), RepAdapterConfig(parts=("attention",))).layers())) == 6


@pytest.mark.parametrize(
    ("values", "message"),
    [({"groups": 3}, "groups=3 must be .* divides r=8"), ({"parts": ("ffn",)}, "parts='ffn' is not one of")],
)
def test_bad_configurations(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RepAdapterConfig(**values)


def test_width_that_groups_do_not_divide(make: Make) -> None:
    with pytest.raises(ValueError, match="groups=5 does not divide 32"):
        attach(make("timm_vit"), RepAdapterConfig(r=10, groups=5))
