import copy
import gc
import pickle
import weakref
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
from torch import Tensor, nn
from torch.nn.utils import prune

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.ffn_samples import Calibration, FFNSample, calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.layer import MoEFFN
from sparsebench.models.moe.routing.probe import routing_probe

Build = Callable[[str], nn.Module]
DENSE = ("llama", "mistral", "qwen2", "qwen3", "bert", "roberta", "vit", "timm_vit")
EXCLUSIVE = ("random", "sequential", "cluster", "coact", "gradient", "residual", "cmoe")


def cast(batch: Tensor, dtype: torch.dtype) -> Tensor:
    return batch.to(dtype) if batch.is_floating_point() else batch


def layers(model: nn.Module) -> list[MoEFFN]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def tokens(seed: int = 0, count: int = 9) -> Tensor:
    return torch.randn(count, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


PRECISIONS = ((torch.float32, 1e-5), (torch.float64, 1e-12))
"""Data types, with the tolerance of outputs."""


@pytest.mark.parametrize("name", DENSE)
def test_all_experts_equal_dense(
    name: str, build: Build, example: Callable, run: Callable, subtests: pytest.Subtests
) -> None:
    """50 neurons in 8 blocks: sizes 7 and 6. Each family and each split meets both data types, if not together."""
    splits = [(split, shared) for split in EXCLUSIVE for shared in (0, 2) if shared or split != "residual"]
    for place, (split, num_shared) in enumerate(splits, start=DENSE.index(name)):
        dtype, tolerance = PRECISIONS[place % 2]
        with subtests.test(split=split, num_shared=num_shared, dtype=dtype):
            model = build(name).to(dtype)
            batch = cast(example(model), dtype)
            dense = run(model, batch)
            convert(model, all_on(split, num_shared), [batch])
            torch.testing.assert_close(run(model, batch), dense, atol=tolerance, rtol=tolerance)


def all_on(split: str, num_shared: int) -> MoEConfig:
    return MoEConfig(
        top_k=8 - num_shared,
        num_shared=num_shared,
        split=split,
        importance="activation",
        clusters="tokens",
        score="none",
        scale="exact",
    )


@pytest.mark.parametrize(
    "fields",
    [
        {"split": "gradient", "clusters": "documents"},
        {"split": "gradient", "clusters": "tokens", "router_init": "centroids"},
        {"split": "residual", "num_shared": 2, "clusters": "documents"},
        {"num_shared": 2, "importance": "gradient"},
        {"router": "mlp"},
        {"router": "glu", "router_init": "analytic"},
        {"scale": "calibrated"},
        {"scale": "norm", "align": True},
        {"router_init": "zeros", "score": "topk_softmax"},
        {"router_init": "zeros", "score": "softmax_topk", "renorm": False},
        {"router_init": "zeros", "score": "sigmoid"},
    ],
)
def test_all_experts_equal_dense_whatever_else(fields: dict, build: Build, run: Callable) -> None:
    """Gradient importance, and each router, weight and fitted scale whose mean coefficient with k = N is 1.

    With all experts chosen, alignment undoes any other scale of a layer without shared block.
    """
    model = build("llama").double()
    ids = torch.randint(3, 64, (16, 6), generator=torch.Generator().manual_seed(0))
    dense = run(model, ids)
    fields = {"score": "none", "top_k": 8 - fields.get("num_shared", 0)} | fields
    convert(model, MoEConfig(**fields), list(ids.split(2)))
    torch.testing.assert_close(run(model, ids), dense, atol=1e-12, rtol=1e-12)


def test_paper_scale_with_all_experts_is_dense_over_n(build: Build) -> None:
    dense, model = build("llama").double(), build("llama").double()
    convert(model, MoEConfig(top_k=8, router_init="zeros", scale="paper"))
    x = tokens()
    torch.testing.assert_close(layers(model)[0](x), dense.model.layers[0].mlp(x) / 8)


@pytest.mark.parametrize("count", [1, 9])
def test_layer_equals_masked_dense(count: int, build: Build) -> None:
    """Keeping the neurons of the chosen experts, each times its weight, in the dense layer gives the same result."""
    dense, model = build("bert").double(), build("bert").double()
    convert(model, MoEConfig(top_k=2, num_shared=2, scale="paper", seed=3))
    layer, old = layers(model)[1], dense.bert.encoder.layer[1]
    x = tokens(count=count)
    routing = layer.router(x)
    assert layer.shared is not None
    groups = layer.neurons.split([*layer.shared.sizes, *layer.experts.sizes])
    gain = torch.zeros(count, 50, dtype=torch.float64)
    gain[:, groups[0]] = 1
    for t in range(count):
        for e, w in zip(routing.index[t].tolist(), routing.weight[t], strict=True):
            gain[t, groups[1 + e]] = w
    torch.testing.assert_close(layer(x), old.output.dense(old.intermediate(x) * gain))


def test_output_is_linear_in_the_scale(build: Build) -> None:
    model = convert(build("llama").double(), MoEConfig(scale=1.0))
    layer, x = layers(model)[0], tokens()
    once = layer(x)
    layer.scale = 2.5
    torch.testing.assert_close(layer(x), 2.5 * once)


def test_batches_and_their_calibration_give_the_same_layer(build: Build, example: Callable) -> None:
    config = MoEConfig(num_shared=2, router_init="energy", importance="gradient", scale="calibrated")
    one, two = build("llama"), build("llama")
    convert(one, config, [{"input_ids": example(one)}])
    convert(two, config, calibrate(two, [example(two)], gradients=True))
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), two.state_dict().values(), strict=True))
    assert [layer.scale for layer in layers(one)] == [layer.scale for layer in layers(two)]


def test_the_seed_decides(build: Build) -> None:
    first, again, other = (convert(build("llama"), MoEConfig(seed=seed)).state_dict() for seed in (1, 1, 2))
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["model.layers.0.mlp.neurons"], other["model.layers.0.mlp.neurons"])
    assert not torch.equal(first["model.layers.0.mlp.neurons"], first["model.layers.1.mlp.neurons"])


def test_only_the_chosen_layers(build: Build, example: Callable) -> None:
    model = build("llama")
    seen = calibrate(model, [example(model)])
    convert(model, MoEConfig(layers=(1,), router_init="energy"), seen)
    kinds = [block.mlp.kind for block in describe(model).blocks if block.mlp]
    assert kinds == ["gated", "moe"]
    whole = convert(build("llama"), MoEConfig(split="sequential", router_init="energy"), seen)
    convert(model, MoEConfig(layers=(0,), split="sequential", router_init="energy"), seen)
    assert torch.equal(layers(model)[0].router.weight, layers(whole)[0].router.weight)


@torch.no_grad()
def test_an_informed_router_beats_a_random_one(build: Build) -> None:
    """On inputs of eight clusters whose neurons differ, the energy router leaves a smaller error."""
    generator = torch.Generator().manual_seed(0)
    model = build("llama").model
    centres = 4 * nn.functional.normalize(torch.randn(8, 32, generator=generator), dim=1)
    for block in model.layers:
        for neuron in range(50):
            block.mlp.gate_proj.weight[neuron] = centres[neuron * 8 // 50] / 4
    x = centres.repeat(20, 1) + 0.3 * torch.randn(160, 32, generator=generator)
    samples = [FFNSample(x, b.mlp.act_fn(b.mlp.gate_proj(x)) * b.mlp.up_proj(x)) for b in model.layers]
    seen = Calibration(samples, torch.zeros(160, dtype=torch.long), torch.zeros(1, 32))
    dense = model.layers[0].mlp(x)
    errors = {}
    for init in ("random", "energy"):
        config = MoEConfig(top_k=2, split="sequential", router_init=init, score="none", scale="exact")
        copied = convert(copy.deepcopy(model), config, seen)
        errors[init] = float((layers(copied)[0](x) - dense).norm() / dense.norm())
    assert errors["energy"] < 0.6 * errors["random"]


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
def test_bf16_copy_pickle_and_state_dict(name: str, build: Build, example: Callable, run: Callable) -> None:
    config = MoEConfig(num_shared=1, top_k=3, balance="switch")
    model = convert(build(name).bfloat16(), config)
    batch = cast(example(model), torch.bfloat16)
    model.train()(batch)  # leaves a balance loss behind, with its graph
    result = run(model.eval(), batch)
    assert result.dtype == torch.bfloat16 and result.isfinite().all()
    assert torch.equal(run(copy.deepcopy(model), batch), result)
    assert torch.equal(run(pickle.loads(pickle.dumps(model)), batch), result)
    other = convert(build(name).bfloat16(), MoEConfig(num_shared=1, top_k=3, seed=9))
    assert not torch.equal(run(other, batch), result)
    other.load_state_dict(model.state_dict())
    assert torch.equal(run(other, batch), result)


@pytest.mark.parametrize("noise", ["none", "shazeer"])
@pytest.mark.parametrize("score", ["topk_softmax", "none"])
def test_training_reaches_every_parameter(noise: str, score: str, build: Build, example: Callable) -> None:
    config = MoEConfig(num_shared=1, noise=noise, score=score, align=True)
    model = build("llama")
    convert(model, config, [example(model)]).train()
    model(example(model)).logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    if score != "none":
        assert all(layer.router.weight.grad.abs().sum() > 0 for layer in layers(model))


def test_capacity_drops_tokens_in_training_alone(build: Build) -> None:
    """All 9 tokens choose experts 0 and 1; ceil(1 * 9 * 2 / 8) = 3 of each are kept."""
    model = convert(build("llama").double(), MoEConfig(top_k=2, capacity=1.0))
    layer, x = layers(model)[0], tokens().abs()
    with torch.no_grad():
        layer.router.weight.zero_()
        layer.router.weight[0], layer.router.weight[1] = 1.0, 0.5
    whole, limited = layer.eval()(x), layer.train()(x)
    torch.testing.assert_close(limited[:3], whole[:3])
    assert whole[3:].abs().min() > 0 and not limited[3:].any()


def test_frozen_stays_frozen_and_modes_stay(build: Build) -> None:
    model = build("llama").train()
    model.model.layers[0].requires_grad_(False).eval()
    convert(model, MoEConfig(num_shared=1))
    first, second = layers(model)
    assert not first.training and second.training
    assert not any(parameter.requires_grad for parameter in first.parameters())
    assert all(parameter.requires_grad for parameter in second.parameters())


def _nan(model: nn.Module) -> None:
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))


def _wrap(model: nn.Module) -> None:
    model.model.layers[1].mlp.up_proj = nn.utils.parametrizations.weight_norm(model.model.layers[1].mlp.up_proj)


def _prune(model: nn.Module) -> None:
    prune.l1_unstructured(model.model.layers[1].mlp.up_proj, "weight", 0.5)


def _int8(model: nn.Module) -> None:
    linear = model.model.layers[1].mlp.down_proj
    linear.weight = nn.Parameter(linear.weight.to(torch.int8), requires_grad=False)


IDS = torch.ones(1, 4).long()
NO_GRADIENTS = Calibration(
    [FFNSample(torch.zeros(2, 32), torch.zeros(2, 50))] * 2, torch.zeros(2).long(), torch.zeros(1, 32)
)


@pytest.mark.parametrize(
    ("family", "spoil", "config", "calibration", "message"),
    [
        ("llama", None, MoEConfig(router_init="energy"), None, r"router_init='energy' needs calibration .*activations"),
        ("llama", None, MoEConfig(split="gradient"), None, "needs calibration data .activations and gradients"),
        ("llama", None, MoEConfig(scale="calibrated"), None, "scale='calibrated' needs calibration"),
        ("llama", None, MoEConfig(align=True), None, "align=True needs calibration"),
        ("llama", None, MoEConfig(num_shared=1), [], "no calibration batches"),
        ("llama", _nan, MoEConfig(num_shared=1), [IDS], "NaN"),
        ("bert", None, MoEConfig(split="gradient"), NO_GRADIENTS, "gradients=True"),
        ("llama", _wrap, MoEConfig(), None, r"layers\.1\.mlp\.up_proj is a ParametrizedLinear"),
        ("llama", _prune, MoEConfig(), None, r"weight of model\.layers\.1\.mlp\.up_proj is made at each call"),
        ("llama", _int8, MoEConfig(), None, "conversion needs a plain nn.Linear"),
        ("llama", None, MoEConfig(num_experts=64), None, "fewer than num_experts=64"),
        ("mixtral", None, MoEConfig(), None, "mixture of experts already"),
        ("efficientnet", None, MoEConfig(), None, "convolutional block"),
    ],
)
def test_errors_leave_the_model_alone(
    family: str, spoil: Callable | None, config: MoEConfig, calibration: Any, message: str, build: Build
) -> None:
    model = build(family)
    if spoil is not None:
        spoil(model)
    before = [(name, module) for name, module in model.named_modules()]
    state = copy.deepcopy(model.state_dict())
    with pytest.raises(ValueError, match=message):
        convert(model, config, calibration)
    after = list(model.named_modules())
    assert len(before) == len(after) and all(a == b for a, b in zip(before, after, strict=True))
    assert all(torch.equal(state[key].nan_to_num(), value.nan_to_num()) for key, value in model.state_dict().items())


def test_a_model_without_ffn(build: Build) -> None:
    model = build("efficientnet")
    model.blocks = nn.Sequential()
    with pytest.raises(ValueError, match="no feed-forward layer"):
        convert(model, MoEConfig())
    with pytest.raises(ValueError, match="no describer knows"):
        convert(nn.Linear(2, 2), MoEConfig())


@pytest.mark.parametrize(
    "fields",
    [
        {"split": "random"},
        {"split": "gradient_share", "importance": "activation", "clusters": "tokens"},
        {"split": "whole", "reinit": 0.5},
    ],
)
def test_a_failure_half_way_puts_the_dense_layers_back(
    fields: dict, build: Build, example: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build("bert")
    before = copy.deepcopy(model.state_dict())
    replace = nn.Module.__setattr__

    def out_of_memory(self: nn.Module, name: str, value: object) -> None:
        if self is model.bert.encoder.layer[1] and isinstance(value, MoEFFN):
            raise MemoryError
        replace(self, name, value)

    monkeypatch.setattr(nn.Module, "__setattr__", out_of_memory)
    with pytest.raises(MemoryError):
        convert(model, MoEConfig(num_experts=4, **fields), [example(model)])
    after = model.state_dict()
    assert list(before) == list(after) and all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
def test_a_model_of_peft_is_converted_within(build: Build, example: Callable) -> None:
    """Adapters elsewhere stay; those on an FFN, which would be lost, are refused."""
    model: Any = build("llama")
    adapted = peft.LoraConfig(target_modules=["q_proj"], init_lora_weights=False)
    wrapped: Any = peft.get_peft_model(model, adapted).eval()
    ids = example(model)
    before = wrapped(ids).logits
    all_of_them = MoEConfig(num_experts=4, top_k=4, score="none")
    assert convert(wrapped, all_of_them) is wrapped and len(layers(model)) == 2
    assert type(wrapped.get_base_model()).__name__ == "SparsebenchLlamaForCausalLM"
    torch.testing.assert_close(wrapped(ids).logits, before, rtol=1e-4, atol=1e-5)
    with routing_probe(wrapped) as probe:
        wrapped(ids)
    assert list(probe.layers) == ["model.layers.0.mlp", "model.layers.1.mlp"]
    other: Any = peft.get_peft_model(build("llama"), peft.LoraConfig(target_modules=["up_proj"]))
    with pytest.raises(ModelError, match=r"mlp\.up_proj is a Linear.* or remove its adapter"):
        convert(other, all_of_them)
    by_weight: Any = peft.LoraConfig(target_modules=[], target_parameters=["mlp.up_proj.weight"])
    with pytest.raises(ModelError, match=r"mlp\.up_proj is a ParamWrapper.* or remove its adapter"):
        convert(peft.get_peft_model(build("llama"), by_weight), all_of_them)


def test_converting_twice_is_refused(build: Build) -> None:
    model = convert(build("llama"), MoEConfig())
    with pytest.raises(ValueError, match="mixture of experts already"):
        convert(model, MoEConfig())


@pytest.mark.parametrize("name", DENSE)
def test_anatomy_of_the_converted_model(name: str, build: Build) -> None:
    model = build(name)
    old = describe(build(name)).blocks[0].mlp
    convert(model, MoEConfig(split="sequential"))
    mlp = describe(model).blocks[0].mlp
    assert old is not None and old.up is not None and old.down is not None
    assert mlp is not None and mlp.kind == "moe" and mlp.experts is not None
    assert (mlp.width, mlp.hidden) == (32, 7 if old.hidden == 50 else 16)
    assert (mlp.experts.num_experts, mlp.experts.top_k) == (8, 2)
    first = mlp.experts.weights(0)
    assert torch.equal(first.up, old.up.get().weight[: len(first.up)])
    assert torch.equal(first.down, old.down.get().weight[:, : len(first.up)])


def test_each_layer_is_built_once(build: Build, example: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    model = build("llama")
    dense = [weakref.ref(layer.mlp) for layer in model.model.layers]
    built = []
    held = []
    init = MoEFFN.__init__

    def counted(self: MoEFFN, **fields: Any) -> None:
        gc.collect()
        held.append(sum(layer() is not None for layer in dense))
        built.append(self)
        init(self, **fields)

    monkeypatch.setattr(MoEFFN, "__init__", counted)
    convert(model, MoEConfig(num_shared=1, scale="calibrated", align=True), [example(model)])
    assert built == layers(model)
    assert held == [2, 1], "a dense layer goes before the next one is copied"


def test_experts_that_cannot_be_filled_up_are_refused_before_anything_changes(build: Build) -> None:
    """The last layer has 50 neurons for 8 experts and an activation that does not map 0 to 0."""
    model = build("bert")
    model.bert.encoder.layer[1].intermediate.intermediate_act_fn = nn.Sigmoid()
    before = dict(model.named_modules())
    with pytest.raises(ValueError, match="activation that maps 0 to 0"):
        convert(model, MoEConfig())
    assert dict(model.named_modules()) == before
