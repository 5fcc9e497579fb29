import copy
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.moe.calibration import calibrate
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.convert import convert, to_dense
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.splits import SPLITS

Build = Callable[[str], nn.Module]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")


@pytest.mark.parametrize("name", DENSE)
@pytest.mark.parametrize("split", sorted(SPLITS))
@pytest.mark.parametrize("num_shared", [0, 2])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_all_experts_equal_dense(
    name: str,
    split: str,
    num_shared: int,
    dtype: torch.dtype,
    tolerance: float,
    build: Build,
    example: Callable,
    run: Callable,
) -> None:
    """50 neurons in 8 blocks: sizes 7 and 6."""
    model = build(name).to(dtype)
    batch = example(model)
    dense = run(model, batch)
    config = MoEConfig(top_k=8 - num_shared, num_shared=num_shared, split=split, score="none", scale="exact")
    convert(model, config, [batch.to(dtype) if batch.is_floating_point() else batch])
    torch.testing.assert_close(run(model, batch), dense, atol=tolerance, rtol=tolerance)


def layers(model: nn.Module) -> list[MoEFFN]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def test_paper_scale_with_all_experts_is_dense_over_n(build: Build) -> None:
    dense, model = build("llama").double(), build("llama").double()
    convert(model, MoEConfig(top_k=8, router_init="zeros", scale="paper"))
    x = torch.randn(5, 32, dtype=torch.float64)
    torch.testing.assert_close(layers(model)[0](x), dense.model.layers[0].mlp(x) / 8)


@pytest.mark.parametrize("tokens", [1, 9])
def test_layer_equals_masked_dense(tokens: int, build: Build) -> None:
    """Keeping the neurons of the chosen experts, each times its weight, in the dense layer gives the same result."""
    dense, model = build("bert").double(), build("bert").double()
    convert(model, MoEConfig(top_k=2, num_shared=2, scale="paper", seed=3))
    layer, old = layers(model)[1], dense.bert.encoder.layer[1]
    x = torch.randn(tokens, 32, dtype=torch.float64)
    index, weight = layer.router(x)
    groups = layer.neurons.split([sum(layer.shared.sizes), *layer.experts.sizes])
    gain = torch.zeros(tokens, 50, dtype=torch.float64)
    gain[:, groups[0]] = 1
    for t in range(tokens):
        for e, w in zip(index[t].tolist(), weight[t], strict=True):
            gain[t, groups[1 + e]] = w
    torch.testing.assert_close(layer(x), old.output.dense(old.intermediate(x) * gain))


@pytest.mark.parametrize("name", DENSE)
def test_to_dense_restores_every_bit(name: str, build: Build, example: Callable) -> None:
    model = build(name)
    names = list(model.state_dict())
    before = copy.deepcopy(model.state_dict())
    convert(model, MoEConfig(num_shared=1), [example(model)])
    assert layers(model)
    to_dense(model)
    assert list(model.state_dict()) == names
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_active_parameters(build: Build) -> None:
    model = build("llama")
    for layer in model.model.layers:
        layer.mlp.gate_proj, layer.mlp.up_proj = nn.Linear(32, 48, bias=False), nn.Linear(32, 48, bias=False)
        layer.mlp.down_proj = nn.Linear(48, 32, bias=False)
    dense = count_parameters(model).total
    convert(model, MoEConfig(num_shared=2, top_k=2))
    router, ffn = 2 * 6 * 32, 2 * 3 * 32 * 48
    counts = count_parameters(model)
    assert counts.total == dense + router
    assert counts.active == dense + router - ffn // 2


def test_shared_block_holds_the_most_important_neurons(build: Build, example: Callable) -> None:
    model = build("llama")
    statistics = calibrate(model, [example(model)])
    down = model.model.layers[0].mlp.down_proj.weight
    importance = statistics[0].importance(down.norm(dim=0))
    convert(model, MoEConfig(num_shared=2), statistics)
    layer = layers(model)[0]
    assert layer.shared is not None
    shared = layer.neurons[: sum(layer.shared.sizes)]
    assert set(shared.tolist()) == set(importance.topk(len(shared)).indices.tolist())


def test_batches_and_their_statistics_give_the_same_layer(build: Build, example: Callable) -> None:
    config = MoEConfig(num_shared=2, router_init="energy")
    one, two = build("llama"), build("llama")
    convert(one, config, [{"input_ids": example(one)}])
    convert(two, config, calibrate(two, [example(two)]))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))


def test_padding_does_not_calibrate(build: Build, example: Callable) -> None:
    model = build("llama")
    ids = example(model)
    padded = torch.cat((ids, torch.zeros(2, 3, dtype=torch.long)), dim=1)
    mask = (torch.arange(10) < 7).long().expand(2, 10)
    plain = calibrate(model, [ids])
    masked = calibrate(model, [{"input_ids": padded, "attention_mask": mask}])
    assert plain[1].tokens == masked[1].tokens == 14
    torch.testing.assert_close(plain[1].energy_input, masked[1].energy_input)


def test_calibration_leaves_modes_and_hooks(build: Build, example: Callable) -> None:
    model = build("llama").train()
    model.model.norm.eval()
    calibrate(model, [example(model)])
    assert model.training and not model.model.norm.training
    assert not any(module._forward_pre_hooks for module in model.modules())


@torch.no_grad()
def test_centroid_router_beats_a_random_one(build: Build) -> None:
    """On inputs of eight clusters whose neurons differ, the informed router leaves a smaller error."""
    generator = torch.Generator().manual_seed(0)
    model = build("llama").model
    mlp = model.layers[0].mlp
    centres = 4 * torch.nn.functional.normalize(torch.randn(8, 32, generator=generator), dim=1)
    with torch.no_grad():
        for neuron in range(50):
            mlp.gate_proj.weight[neuron] = centres[neuron * 8 // 50] / 4
    x = centres.repeat(20, 1) + 0.3 * torch.randn(160, 32, generator=generator)
    dense = mlp(x)
    errors = {}
    for init in ("random", "energy"):
        copied = copy.deepcopy(model)
        statistics = calibrate_layer(copied, x)
        config = MoEConfig(top_k=2, split="sequential", router_init=init, score="none", scale="exact")
        convert(copied, config, statistics)
        errors[init] = float((layers(copied)[0](x) - dense).norm() / dense.norm())
    assert errors["energy"] < 0.6 * errors["random"]


def calibrate_layer(model: nn.Module, x: Tensor) -> list:
    statistics = calibrate(model, [torch.randint(3, 64, (1, 4))])
    mlp = model.layers[0].mlp
    for tensor in (statistics[0].input, statistics[0].abs_hidden, statistics[0].energy, statistics[0].energy_input):
        tensor.zero_()
    statistics[0].tokens = 0
    with torch.no_grad():
        statistics[0].add(x, mlp.act_fn(mlp.gate_proj(x)) * mlp.up_proj(x))
    return statistics


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
def test_bf16_copy_pickle_and_state_dict(name: str, build: Build, example: Callable, run: Callable) -> None:
    config = MoEConfig(num_shared=1, top_k=3)
    model = convert(build(name).bfloat16(), config)
    batch = example(model)
    result = run(model, batch)
    assert result.dtype == torch.bfloat16 and result.isfinite().all()
    assert torch.equal(run(copy.deepcopy(model), batch), result)
    assert torch.equal(run(pickle.loads(pickle.dumps(model)), batch), result)
    other = convert(build(name).bfloat16(), MoEConfig(num_shared=1, top_k=3, seed=9))
    assert not torch.equal(run(other, batch), result)
    other.load_state_dict(model.state_dict())
    assert torch.equal(run(other, batch), result)
    to_dense(other)
    assert all(
        torch.equal(a, b)
        for a, b in zip(other.state_dict().values(), build(name).bfloat16().state_dict().values(), strict=True)
    )


def test_training_reaches_every_parameter(build: Build, example: Callable) -> None:
    model = convert(build("llama"), MoEConfig(num_shared=1)).train()
    model(example(model)).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    assert all(layer.router.weight.grad.abs().sum() > 0 for layer in layers(model))


def test_parameter_names_do_not_clash_with_renaming_loaders(build: Build) -> None:
    names = [name for name, _ in convert(build("llama"), MoEConfig(num_shared=1)).named_parameters()]
    assert not any(bad in name for name in names for bad in ("weight_g", "weight_v", "gamma", "beta"))


def test_a_converted_model_generates(build: Build, example: Callable) -> None:
    model = convert(build("llama"), MoEConfig())
    model.generation_config.eos_token_id = None
    assert model.generate(example(model), max_new_tokens=3, do_sample=False).shape == (2, 10)


def _nan(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))


def _wrap(model: nn.Module) -> None:
    model.model.layers[1].mlp.up_proj = nn.utils.parametrizations.weight_norm(model.model.layers[1].mlp.up_proj)


def _int8(model: nn.Module) -> None:
    linear = model.model.layers[1].mlp.down_proj
    linear.weight = nn.Parameter(linear.weight.to(torch.int8), requires_grad=False)


@pytest.mark.parametrize(
    ("family", "spoil", "config", "calibration", "message"),
    [
        ("llama", None, MoEConfig(router_init="energy"), None, "needs calibration"),
        ("llama", None, MoEConfig(num_shared=1), [], "hold no token"),
        ("llama", _nan, MoEConfig(num_shared=1), [torch.ones(1, 4).long()], "NaN or infinite"),
        ("llama", _wrap, MoEConfig(), None, r"layers\.1\.mlp\.up_proj is a ParametrizedLinear"),
        ("llama", _int8, MoEConfig(), None, "conversion needs a plain nn.Linear"),
        ("llama", None, MoEConfig(num_experts=64), None, "fewer than num_experts=64"),
        ("mixtral", None, MoEConfig(), None, "mixture of experts already"),
        ("efficientnet", None, MoEConfig(), None, "convolutional block"),
    ],
)
def test_errors_leave_the_model_alone(
    family: str, spoil: Callable | None, config: MoEConfig, calibration: list | None, message: str, build: Build
) -> None:
    model = build(family)
    if spoil is not None:
        spoil(model)
    before = [(name, module) for name, module in model.named_modules()]
    with pytest.raises(ValueError, match=message):
        convert(model, config, calibration)
    after = list(model.named_modules())
    assert len(before) == len(after) and all(a == b for a, b in zip(before, after, strict=True))


def test_converting_twice_is_refused(build: Build) -> None:
    model = convert(build("llama"), MoEConfig())
    with pytest.raises(ValueError, match="mixture of experts already"):
        convert(model, MoEConfig())


def test_to_dense_needs_a_converted_model(build: Build) -> None:
    with pytest.raises(ValueError, match="no layer made by"):
        to_dense(build("llama"))


@pytest.mark.parametrize("name", DENSE)
def test_anatomy_of_the_converted_model(name: str, build: Build) -> None:
    model = build(name)
    old = describe(build(name)).blocks[0].mlp
    convert(model, MoEConfig(split="sequential"))
    mlp = describe(model).blocks[0].mlp
    assert old is not None and old.up is not None and old.down is not None
    assert mlp is not None and mlp.kind == "moe" and mlp.experts is not None
    assert (mlp.width, mlp.hidden, mlp.experts.num_experts, mlp.experts.top_k) == (
        32,
        7 if old.hidden == 50 else 16,
        8,
        2,
    )
    first = mlp.experts.weights(0)
    assert torch.equal(first.up, old.up.get().weight[: len(first.up)])
    assert torch.equal(first.down, old.down.get().weight[:, : len(first.up)])
