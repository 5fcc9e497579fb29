"""The layer by itself; what conversion makes of whole models is in `conversion/test_convert.py`."""

import copy
import dataclasses
import io
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Site, describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import aux_loss
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.layer import Alignment, MoEFFN

Build = Callable[[str], nn.Module]


def layer_of(build: Build, name: str = "llama", **fields: object) -> MoEFFN:
    model = convert(build(name).double(), MoEConfig(**fields))  # type: ignore[arg-type]
    return next(module for module in model.modules() if isinstance(module, MoEFFN))


def tokens(*shape: int) -> Tensor:
    return torch.randn(*shape, 32, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_alignment_is_a_gain_and_an_offset() -> None:
    aligned = Alignment(torch.tensor([2.0, 3.0]), torch.tensor([0.0, 1.0]))(torch.ones(4, 2))
    assert torch.equal(aligned, torch.tensor([2.0, 4.0]).expand(4, 2))


def test_any_shape_of_tokens(build: Build) -> None:
    layer = layer_of(build, num_shared=1)
    x = tokens(2, 3)
    torch.testing.assert_close(layer(x).view(6, 32), layer(x.view(6, 32)))
    assert layer(x[0, 0]).shape == (32,)


def test_a_fitted_scale_goes_with_the_state(build: Build, example: Callable[..., Tensor], run: Callable) -> None:
    """Fitted to other data, it is another number; one that the configuration gives stays."""
    config = MoEConfig(num_experts=4, top_k=2, scale="calibrated")
    saved, other, given = build("llama"), build("llama"), build("llama")
    convert(saved, config, [example(saved, 1)])
    convert(other, config, [example(other, 2)])
    convert(given, dataclasses.replace(config, scale=3.0))
    file = io.BytesIO()
    torch.save(saved.state_dict(), file)
    file.seek(0)
    state = torch.load(file)
    other.load_state_dict(state)
    given.load_state_dict(state)
    assert torch.equal(run(other, example(other)), run(saved, example(saved)))
    assert all(layer.scale == 3 for layer in given.modules() if isinstance(layer, MoEFFN))
    fitted = other.model.layers[0].mlp.scale
    other.load_state_dict(dict(state))  # of a file without metadata
    assert other.model.layers[0].mlp.scale == fitted


def test_vmap_over_samples_is_refused_in_words(build: Build) -> None:
    layer = layer_of(build)
    with pytest.raises(ModelError, match=r"torch\.vmap has no tokens that choose experts"):
        torch.func.vmap(layer)(tokens(2, 3))


def test_an_empty_batch_leaves_gradients_of_zero(build: Build) -> None:
    layer = layer_of(build, balance="switch").train()
    out = layer(tokens(0, 3))
    assert out.shape == (0, 3, 32) and layer.aux is not None
    (out.sum() + layer.aux).backward()
    assert all(own.grad is not None and not own.grad.any() for own in layer.parameters())


def test_shared_bias_and_alignment_come_on_top_of_the_routed_experts(build: Build) -> None:
    layer = layer_of(build, "bert", num_shared=1)
    x = tokens(5)
    assert layer.shared is not None and layer.down_bias is not None
    whole = layer.routed(x) + layer.shared(x) + layer.down_bias
    torch.testing.assert_close(layer(x), whole)
    layer.alignment = Alignment(torch.full((32,), 2.0).double(), torch.ones(32).double())
    torch.testing.assert_close(layer(x), whole * 2 + 1)


def test_the_balance_loss_is_kept_in_training_alone_and_not_copied(build: Build) -> None:
    layer = layer_of(build, balance="switch")
    layer.eval()(tokens(5))
    assert layer.aux is None
    layer.train()(tokens(5))
    assert layer.aux is not None and layer.aux.requires_grad
    assert copy.deepcopy(layer).aux is None


@pytest.mark.parametrize("num_shared", [0, 2])
def test_parameters_at_work(num_shared: int, build: Build) -> None:
    """The stacked experts all take as much memory as the largest; routed ones count by the share that is chosen."""
    layer = layer_of(build, num_shared=num_shared, top_k=2)
    routed = sum(parameter.numel() for parameter in layer.experts.parameters())
    total = sum(parameter.numel() for parameter in layer.parameters())
    assert layer.active_parameters() == total - routed + round(routed * 2 / (8 - num_shared))


def test_how_the_anatomy_sees_it(build: Build) -> None:
    model = convert(build("bert"), MoEConfig(num_shared=1))
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.kind == "moe" and mlp.experts is not None
    layer = mlp.site.get()
    assert [site.name for site in mlp.experts.tensors] == ["gate_up", "down", "bias"]
    assert isinstance(mlp.experts.shared, Site) and mlp.experts.shared.get() is layer.shared
    assert mlp.experts.router.get() is layer.router
    assert torch.equal(mlp.experts.weights(1).down, layer.experts.weights(1).down)


IDLE: dict[str, dict] = {
    "plain": {},
    "cv2, noise": {"balance": "cv2", "noise": "shazeer"},
    "switch, z": {"balance": "switch", "z_coef": 0.1},
    "bias": {"balance": "bias", "score": "sigmoid"},
    "DenseMixer": {"densemixer": True, "z_coef": 0.1},
    "equal weights": {"score": "none"},
}


@pytest.mark.parametrize("mode", ["drop_kv", "keep_kv"])
@pytest.mark.parametrize("name", IDLE)
def test_experts_without_a_token_have_gradients_of_zero(name: str, mode: str, build: Build) -> None:
    """And no parameter has none: processes that wait for each other's gradients never wait in vain."""
    fields = IDLE[name]
    shared = {key: value for key, value in fields.items() if key != "densemixer"}
    attn = AttnMoEConfig(**({"num_experts": 4, "top_k": 1, "mode": mode} | shared))
    model = convert(build("qwen3").double(), MoEConfig(**({"top_k": 1, "attn": attn} | fields))).train()
    ids = torch.tensor([[3, 4]])  # two tokens, of which at most two experts of a layer have one
    out = model(input_ids=ids, labels=ids)
    (out.loss + aux_loss(model)).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())
    for layer in model.model.layers:
        for grad in (layer.mlp.experts.down.grad, layer.self_attn.out.grad, layer.self_attn.qkv.grad):
            busy = grad.flatten(1).any(1)
            assert 1 <= int(busy.sum()) <= 2


@torch.no_grad()
def test_hooks_of_users_see_every_part_in_evaluation(build: Build) -> None:
    layer = layer_of(build, num_shared=1).float()
    x = tokens(5).float()
    plain = layer(x)
    seen: dict[str, object] = {}
    for name in ("router", "experts", "shared"):
        layer.get_submodule(name).register_forward_hook(lambda module, _, out, name=name: seen.update({name: out}))
    torch.testing.assert_close(layer(x), plain)
    assert set(seen) == {"router", "experts", "shared"}
    assert torch.equal(seen["router"].logits, layer.router.logits(x))


def test_weights_that_are_elsewhere_are_refused(build: Build) -> None:
    layer = layer_of(build, num_shared=1).float().eval()
    layer.experts.to("meta")
    with pytest.raises(ValueError, match="tokens are on cpu, the experts on meta"):
        layer(tokens(5).float())


KEEPS = {
    "linear": {"router": "linear", "score": "softmax_topk"},
    "sigmoid": {"router": "linear", "score": "sigmoid", "noise": "shazeer"},
    "mlp": {"router": "mlp", "num_shared": 0},
    "bert": {"router": "linear", "num_shared": 2},
}


@pytest.mark.parametrize("name", KEEPS)
@torch.no_grad()
def test_kept_experts_compute_what_the_router_could_still_choose(name: str, build: Build) -> None:
    """The oracle: all experts, and logits of the dropped ones so low that they are never chosen."""
    model_name = "bert" if name == "bert" else "llama"
    fields = {"num_experts": 8, "top_k": 2, "num_shared": 1} | KEEPS[name]
    layer = layer_of(build, model_name, **fields).eval()
    closed = torch.ones(layer.router.num_routed, dtype=torch.bool)
    kept = [4, 1, 2]
    closed[kept] = False
    oracle = copy.deepcopy(layer)
    logits = oracle.router.logits
    oracle.router.logits = lambda x: logits(x).masked_fill(closed, -1e9)
    neurons = layer.neurons
    site = Site(nn.Sequential(layer), "0")
    experts = layer.describe_mlp(site, site, None).experts
    assert experts is not None
    assert experts.softmax == (layer.router.score != "sigmoid")
    experts.keep(kept)
    x = tokens(40)
    # The operators of torch in both: the native kernel takes weights, not logits.
    layer.router.logits = type(layer.router).logits.__get__(layer.router)
    torch.testing.assert_close(layer(x), oracle(x))
    assert (layer.router.num_routed, layer.config.num_routed, len(layer.experts.sizes)) == (3, 3, 3)
    shared = len(neurons) - sum(oracle.experts.sizes)
    pieces = neurons[shared:].split(list(oracle.experts.sizes))
    assert torch.equal(layer.neurons, torch.cat((neurons[:shared], *(pieces[index] for index in kept))))
    assert layer.active_parameters() < sum(parameter.numel() for parameter in layer.parameters())
