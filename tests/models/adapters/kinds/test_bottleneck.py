import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.bottleneck import Bottleneck, BottleneckConfig
from sparsebench.models.adapters.layer import AdapterLayer
from sparsebench.models.adapters.presets import preset
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]
POST_NORM, PRE_NORM = ("bert", "roberta"), ("llama", "vit", "timm_vit")


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def formula(module: Bottleneck, config: BottleneckConfig, x: Tensor) -> Tensor:
    """A(x) from its weights, without the module's forward."""
    if config.norm == "in":
        x = norm(module.norm_in, x)
    hidden = x @ module.down.weight.T
    hidden = hidden if module.down.bias is None else hidden + module.down.bias
    hidden = {"relu": torch.relu, "gelu": nn.functional.gelu, "identity": lambda h: h}[config.activation](hidden)
    out = hidden @ module.up.weight.T
    out = out if module.up.bias is None else out + module.up.bias
    return norm(module.norm_out, out) if config.norm == "out" else out


def norm(module: Any, x: Tensor) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return centred / (centred.square().mean(-1, keepdim=True) + module.eps).sqrt() * module.weight + module.bias


def adapted(model: nn.Module, config: BottleneckConfig) -> list[Any]:
    """Layers with random parameters everywhere, the scale included."""
    adapters = attach(model, config)
    for number, (_, layer) in enumerate(adapters.layers()):
        for inner, (_, parameter) in enumerate(layer.adapter_parameters()):
            parameter.data.normal_(0, 0.5, generator=generator(100 * number + inner))
    return [layer for _, layer in adapters.layers()]


CONFIGS = [
    BottleneckConfig(r=5),
    BottleneckConfig(r=5, norm="in", activation="relu", scale=2.0),
    BottleneckConfig(r=5, norm="out", bias=False, scale="learned"),
    BottleneckConfig(r=40, activation="identity", dropout=0.5, scale=-1.5),
]


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("family", POST_NORM)
def test_pfeiffer_in_a_post_norm_block_is_the_formula(config: BottleneckConfig, family: str, build: Build) -> None:
    """h = dropout(FFN(x)), u = LN(h + x), out = LN((h + scale A(u)) + x), every LN the block's own."""
    config = dataclasses.replace(config, placement="pfeiffer")
    model = build(family).double()
    layer, *_ = adapted(model, config)
    block = describe(model).blocks[0].site.get()
    ffn, output = block.intermediate.dense, block.output.dense
    x = torch.randn(2, 7, 32, dtype=torch.float64, generator=generator())
    with torch.no_grad():
        h = nn.functional.gelu(x @ ffn.weight.T + ffn.bias) @ output.weight.T + output.bias
        u = norm(layer.base_layer, h + x)
        expected = norm(layer.base_layer, h + float(layer.scale) * formula(layer.adapter, config, u) + x)
        torch.testing.assert_close(block.feed_forward_chunk(x), expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("placement", ["sequential", "pfeiffer"])
@pytest.mark.parametrize("family", PRE_NORM)
def test_after_the_ffn(config: BottleneckConfig, placement: Any, family: str, build: Build) -> None:
    config = dataclasses.replace(config, placement=placement)
    model = build(family).double()
    plain = describe(build(family).double()).blocks[0].mlp.site.get()
    layer, *_ = adapted(model, config)
    x = torch.randn(2, 7, 32, dtype=torch.float64, generator=generator())
    with torch.no_grad():
        y = plain(x)
        torch.testing.assert_close(layer(x), y + float(layer.scale) * formula(layer.adapter, config, y))


@pytest.mark.parametrize("config", CONFIGS)
@pytest.mark.parametrize("family", [*PRE_NORM, *POST_NORM])
def test_parallel(config: BottleneckConfig, family: str, build: Build) -> None:
    """FFN(x) + scale A(x); BERT adds x and normalises."""
    config = dataclasses.replace(config, placement="parallel")
    model, plain = build(family).double(), describe(build(family).double()).blocks[0]
    layer, *_ = adapted(model, config)
    x = torch.randn(2, 7, 32, dtype=torch.float64, generator=generator())
    with torch.no_grad():
        change = float(layer.scale) * formula(layer.adapter, config, x)
        if plain.post_norm:
            block = plain.site.get()
            h = block.output.dense(block.intermediate(x))
            expected, result = norm(block.output.LayerNorm, h + change + x), layer(block.intermediate(x), x)
        else:
            expected, result = plain.mlp.site.get()(x) + change, layer(x)
        torch.testing.assert_close(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("family", [*PRE_NORM, *POST_NORM])
def test_houlsby_adapts_both_projections(family: str, build: Build) -> None:
    """One adapter on what the attention's output projection gives and one on what the FFN gives, apart."""
    config = BottleneckConfig(r=5, placement="houlsby", scale=2.0)
    model, plain = build(family).double(), describe(build(family).double()).blocks[0]
    first, second, *_ = adapted(model, config)
    block = describe(model).blocks[0]
    assert first.base_layer is block.attention.o.get() and second.base_layer is block.mlp.output.get()
    assert not torch.equal(first.adapter.down.weight, second.adapter.down.weight)
    x = torch.randn(2, 7, 32, dtype=torch.float64, generator=generator())
    with torch.no_grad():
        for layer, base in ((first, plain.attention.o.get()), (second, plain.mlp.output.get())):
            y = base(x)
            torch.testing.assert_close(layer(x), y + 2 * formula(layer.adapter, config, y))


PLACES = {
    ("bert", "houlsby"): ("attention.output.dense", "output.dropout"),
    ("bert", "pfeiffer"): ("output.LayerNorm",),
    ("bert", "sequential"): ("output.dropout",),
    ("bert", "parallel"): ("output",),
    ("llama", "houlsby"): ("self_attn.o_proj", "mlp"),
    ("llama", "pfeiffer"): ("mlp",),
    ("vit", "houlsby"): ("attention.o_proj", "mlp"),
    ("timm_vit", "houlsby"): ("attn.proj", "mlp"),
}


@pytest.mark.parametrize(("family", "placement"), PLACES)
def test_where_adapters_sit(family: str, placement: Any, build: Build) -> None:
    model = build(family)
    prefix = describe(model).blocks[-1].site.path
    adapters = attach(model, BottleneckConfig(r=5, placement=placement, blocks=1))
    assert [place for place, _ in adapters.layers()] == [f"{prefix}.{place}" for place in PLACES[family, placement]]


@pytest.mark.parametrize("placement", ["sequential", "parallel", "houlsby", "pfeiffer"])
@pytest.mark.parametrize("family", [*PRE_NORM, *POST_NORM])
def test_zero_up_changes_no_bit(placement: Any, family: str, build: Build, example: Callable, run: Callable) -> None:
    model = build(family)
    batch, before = example(model), run(model, example(model))
    for norm_place in ("none", "in", "out"):
        adapters = attach(model, BottleneckConfig(r=5, placement=placement, norm=norm_place, scale="learned"))
        assert torch.equal(run(model, batch), before)
        adapters.remove()


def test_dropout_lies_between_the_projections(build: Build) -> None:
    config = BottleneckConfig(r=2000, dropout=0.5, activation="identity", bias=False)
    model = build("timm_vit")
    layer, *_ = adapted(model, config)
    x = torch.ones(1, 1, 32)
    hidden = layer.adapter.down(x)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model.train()
        result = layer.adapter(x)
        torch.manual_seed(0)
        kept = nn.functional.dropout(hidden, 0.5)
    assert 900 < int((kept == 0).sum()) < 1100
    torch.testing.assert_close(result, layer.adapter.up(kept))
    model.eval()
    torch.testing.assert_close(layer.adapter(x), layer.adapter.up(hidden))


def test_learned_scale_trains(build: Build, example: Callable) -> None:
    model = build("bert")
    adapters = attach(model, BottleneckConfig(r=4, scale="learned", init="normal", placement="pfeiffer"))
    model(example(model)).logits.square().mean().backward()
    scales = [layer.scale for _, layer in adapters.layers()]
    assert all(scale.item() == 1 and scale.grad.item() != 0 for scale in scales)
    assert {id(scale) for scale in scales} <= {id(parameter) for parameter in adapters.parameters()}


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("placement", ["sequential", "parallel", "houlsby", "pfeiffer"])
@pytest.mark.parametrize("family", ["llama", "bert", "timm_vit"])
def test_adapters_are_float32_at_least_and_compute_in_the_width_of_the_input(
    dtype: torch.dtype, placement: Any, family: str, build: Build, example: Callable, run: Callable
) -> None:
    model = build(family).to(dtype)
    config = BottleneckConfig(r=5, placement=placement, norm="in", scale="learned", init="normal")
    adapters = attach(model, config)
    own = [parameter for _, layer in adapters.layers() for _, parameter in layer.adapter_parameters()]
    assert {parameter.dtype for parameter in own} == {torch.promote_types(dtype, torch.float32)}
    assert run(model, example(model)).dtype == dtype
    _, layer = next(adapters.layers())
    x = torch.randn(3, 32, generator=generator()).to(dtype)
    cast = {name: parameter.to(dtype) for name, parameter in layer.adapter.named_parameters()}
    assert torch.equal(layer.adapter(x), torch.func.functional_call(layer.adapter, cast, (x,)))


def test_under_autocast(build: Build, example: Callable) -> None:
    model = build("bert")
    adapters = attach(model, BottleneckConfig(r=5, placement="pfeiffer", norm="in", scale="learned", init="normal"))
    with torch.autocast("cpu", torch.bfloat16):
        model(example(model)).logits.float().square().mean().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in adapters.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BottleneckConfig(placement="housby"), "did you mean 'houlsby'"),
        (lambda: BottleneckConfig(norm="inn"), "did you mean 'in'"),
        (lambda: BottleneckConfig(activation="rely"), "did you mean 'relu'"),
        (lambda: BottleneckConfig(scale="learn"), "scale='learn' must be a number or 'learned'"),
        (lambda: BottleneckConfig(scale=float("nan")), "scale=nan must be"),
        (lambda: BottleneckConfig(dropout=1.0), "dropout=1.0 is a probability"),
        (lambda: preset("pfeifer"), "did you mean 'pfeiffer'"),
        (lambda: preset("mam", blocks=1), "blocks=1 of several parts"),
        (lambda: preset("houlsby", r=-1), "r=-1 must be a whole number"),
    ],
)
def test_bad_configurations(make: Callable, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_layers_are_adapter_layers(build: Build) -> None:
    """No hook, no patched forward: every place is a wrapper whose base layer is the module of the plain model."""
    model, plain = build("bert"), build("bert")
    adapters = attach(model, BottleneckConfig(r=4, placement="houlsby"))
    for place, layer in adapters.layers():
        assert isinstance(layer, AdapterLayer) and type(layer.base_layer) is type(plain.get_submodule(place))
    assert not any(module._forward_hooks or "forward" in vars(module) for module in model.modules())
