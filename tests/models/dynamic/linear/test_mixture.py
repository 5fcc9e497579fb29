"""A linear mixture against a slow one in float64, and what the released code of PAD-Net gets wrong."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import linear_view
from sparsebench.models.counting import count_parameters
from sparsebench.models.dynamic.linear.config import Level, MixtureConfig
from sparsebench.models.dynamic.linear.mixture import MixtureLinear, sentence_means
from sparsebench.models.dynamic.mode_partition import Scale
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.statistics import aux_loss

# Shapes: B sentences, L tokens of a sentence, I inputs, O outputs, E experts, K chosen experts.
INPUTS, OUTPUTS, EXPERTS = 6, 10, 4


def make(*, bias: bool = True, **settings: Any) -> tuple[Any, nn.Linear]:
    """A mixture of different experts in float64, in evaluation, and the layer that it came from."""
    generator = torch.Generator().manual_seed(0)
    linear = nn.Linear(INPUTS, OUTPUTS, bias=bias).double()
    config = MixtureConfig(num_kernels=EXPERTS, noise=0.5, **settings)
    layer: Any = MixtureLinear.of(linear_view(linear), config, generator)
    if layer.bias is not None:
        layer.bias.data += torch.randn(layer.bias.shape, generator=generator, dtype=torch.float64)
    return layer.eval(), linear


def tokens(*shape: int) -> Tensor:
    return torch.randn(*shape, INPUTS, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def reference(layer: Any, x_BLI: Tensor, real_BL: Tensor | None = None) -> Tensor:
    """Every token through each chosen expert; the gate by its formula."""
    asked = x_BLI
    if layer.mixture_config.level == "sentence":
        real = torch.ones(x_BLI.shape[:2], dtype=torch.bool) if real_BL is None else real_BL
        means = torch.stack([x_LI[keep_L].mean(0) for x_LI, keep_L in zip(x_BLI, real, strict=True)])
        asked = means[:, None].expand_as(x_BLI)
    y = x_BLI.new_zeros(*x_BLI.shape[:2], OUTPUTS)
    for sentence in range(len(x_BLI)):
        for token in range(x_BLI.shape[1]):
            logits_E = layer.router.weight @ asked[sentence, token]
            best = logits_E.topk(layer.config.top_k)
            for gate, expert in zip(best.values.softmax(-1), best.indices, strict=True):
                part_O = used(layer, int(expert)) @ x_BLI[sentence, token]
                if layer.bias is not None:
                    part_O = part_O + layer.bias[expert]
                y[sentence, token] += gate * part_O
    return y


def used(layer: Any, expert: int) -> Tensor:
    """The weight of one expert by the formula of PAD-Net."""
    partition = layer.partition
    if partition is None:
        return layer.bank[expert]
    mask = partition.mask.double()
    dynamic = partition.lambda_dynamic * mask * layer.bank[expert]
    return dynamic + partition.lambda_static * (1 - mask) * partition.static


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("top_k", [1, 2, 4])
@pytest.mark.parametrize("level", ["token", "sentence"])
def test_it_is_the_sum_over_chosen_experts(level: Level, top_k: int, bias: bool) -> None:
    layer, _ = make(level=level, top_k=top_k, bias=bias)
    x = tokens(3, 5)
    torch.testing.assert_close(layer(x), reference(layer, x))
    with torch.no_grad():
        torch.testing.assert_close(layer(x[:1, :1]), reference(layer, x[:1, :1]))


@pytest.mark.parametrize("level", ["token", "sentence"])
def test_copies_are_the_layer_that_was_there(level: Level) -> None:
    """In training, too, noise and all: the weights sum to 1 (invariants 9 and 12)."""
    linear = nn.Linear(INPUTS, OUTPUTS).double()
    layer: Any = MixtureLinear.of(linear_view(linear), MixtureConfig(level=level), torch.Generator().manual_seed(0))
    x = tokens(2, 7)
    torch.testing.assert_close(layer.train()(x), linear(x))
    torch.testing.assert_close(layer.eval()(x), linear(x))


@pytest.mark.parametrize("level", ["token", "sentence"])
@pytest.mark.parametrize("form", ["row", "weight", "dynamic", "static"])
def test_a_partition_takes_part(form: str, level: Level) -> None:
    layer, _ = make(level=level)
    mask = torch.zeros(OUTPUTS, INPUTS, dtype=torch.bool)
    mask[1::3] = True
    if form == "weight":
        mask[2, 2] = True
    if form in ("dynamic", "static"):
        mask[:] = form == "dynamic"
    static = torch.randn(OUTPUTS, INPUTS, dtype=torch.float64, generator=torch.Generator().manual_seed(5))
    layer.set_partition(mask, static)
    layer.partition.phi.data.fill_(-0.4)
    x = tokens(3, 5)
    torch.testing.assert_close(layer(x), reference(layer, x))


def test_padding_moves_no_sentence_and_no_balance() -> None:
    x = tokens(2, 6)
    real = torch.tensor([[1, 1, 1, 1, 0, 0], [1, 1, 1, 1, 1, 1]]).bool()
    other = x.clone()
    other[0, 4:] = 100.0
    layer, _ = make(level="sentence")
    found = []
    for inputs in (x, other):
        layer.token_mask = real
        found.append(layer(inputs)[real])
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], reference(layer, x, real)[real])
    layer, _ = make(gate_noise="none")
    layer.train()
    losses = []
    for inputs in (x, other):
        layer.token_mask = real
        layer(inputs)
        losses.append(layer.aux)
    torch.testing.assert_close(losses[0], losses[1])
    layer(x[1:])
    assert not torch.equal(layer.aux, losses[0])


def test_a_mask_serves_one_call_and_must_fit() -> None:
    layer, _ = make(level="sentence")
    layer.token_mask = torch.ones(2, 3, dtype=torch.bool)
    with pytest.raises(ModelError, match="8 tokens"):
        layer(tokens(2, 4))
    layer.token_mask = torch.ones(2, 4, dtype=torch.bool)
    layer(tokens(2, 4))
    assert layer.token_mask is None


def test_the_balance_loss_is_zero_for_even_load_and_grows_with_the_gate() -> None:
    """0.01 (CV^2 of importance + CV^2 of load), through the machinery of all mixtures."""
    layer, _ = make(gate_noise="none", top_k=1)
    layer.router.weight.data = torch.eye(EXPERTS, INPUTS, dtype=torch.float64)
    even = torch.eye(EXPERTS, INPUTS, dtype=torch.float64)
    layer.train()(even)
    assert aux_loss(layer).item() == pytest.approx(0, abs=1e-12)
    layer(even[:1].expand(EXPERTS, -1))
    # One expert has everything: both squared coefficients of variation are the number of experts.
    assert aux_loss(layer).item() == pytest.approx(0.01 * 2 * EXPERTS, rel=1e-6)
    layer.eval()
    layer(even)
    assert layer.aux is not None


@pytest.mark.parametrize("level", ["token", "sentence"])
def test_mixing_gives_the_weights_of_all_tokens(level: Level) -> None:
    layer, _ = make(level=level, bias=False)
    x = tokens(3, 5)
    gates_TE = layer.mixing_coefficients(x)
    assert gates_TE.shape == (15, EXPERTS)
    torch.testing.assert_close(gates_TE.sum(-1), torch.ones(15, dtype=torch.float64))
    mixed_TOI = torch.einsum("te,eoi->toi", gates_TE, layer.bank)
    torch.testing.assert_close(torch.einsum("toi,ti->to", mixed_TOI, x.flatten(0, 1)), layer(x).flatten(0, 1))


def test_a_straight_through_gate_has_the_gradient_of_the_masked_computation() -> None:
    """Its weight is 1, but moves: the static part, multiplied once a token, has to move with it."""
    layer, _ = make(top_k=1, straight_through=True)
    layer.set_partition(torch.arange(OUTPUTS).lt(4)[:, None].expand(OUTPUTS, INPUTS))
    x = tokens(2, 3)
    found = torch.autograd.grad(layer(x).square().sum(), layer.router.weight)
    probability = (x @ layer.router.weight.T).softmax(-1)
    y = torch.stack([x @ used(layer, expert).T + layer.bias[expert] for expert in range(EXPERTS)], -2)
    best = probability.argmax(-1, keepdim=True)
    chosen = y.take_along_dim(best[..., None], -2).squeeze(-2)
    share = probability.gather(-1, best)
    expected = torch.autograd.grad((chosen * (1 + share - share.detach())).square().sum(), layer.router.weight)
    torch.testing.assert_close(found, expected)


def test_parameters_at_work() -> None:
    layer, linear = make()
    gate = 2 * EXPERTS * INPUTS  # logits and noise
    experts = EXPERTS * (OUTPUTS * INPUTS + OUTPUTS)
    counts = count_parameters(layer)
    assert counts.total == experts + gate
    assert counts.active == experts // 2 + gate
    assert layer.in_features == linear.in_features
    assert layer.out_features == linear.out_features


def test_low_precision_input_and_autocast() -> None:
    linear = nn.Linear(INPUTS, OUTPUTS)
    layer: Any = MixtureLinear.of(linear_view(linear), MixtureConfig(), torch.Generator().manual_seed(0))
    x = tokens(2, 9).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = layer(x)
        assert y.dtype == linear(x).dtype == torch.bfloat16
    torch.testing.assert_close(y.float(), linear(x), atol=0.03, rtol=0.03)
    half = copy.deepcopy(layer).to(torch.bfloat16).eval()
    assert half(x.bfloat16()).dtype == torch.bfloat16


def test_copies_and_pickles_have_no_graph() -> None:
    layer, _ = make()
    layer.train()(tokens(2, 3))
    twin = pickle.loads(pickle.dumps(copy.deepcopy(layer)))
    assert twin.aux is None
    x = tokens(2, 3)
    assert torch.equal(twin.eval()(x), layer.eval()(x))


def test_a_bank_of_another_size_is_refused() -> None:
    with pytest.raises(ModelError, match="3 experts"):
        MixtureLinear(torch.zeros(3, 2, 2), None, torch.zeros(4, 2), MixtureConfig(num_kernels=4))


# What the released code does (Shwai-He/PAD-Net at 014fdee, moe/transformers/models/layers.py), by its formulas.


def released(layer: Any, x: Tensor) -> Tensor:
    """The released PadMoE: every expert is W_e + W_static, whatever the mask and phi."""
    y = torch.stack([F.linear(x, layer.bank[e] + layer.partition.static, layer.bias[e]) for e in range(EXPERTS)], -2)
    logits = x @ layer.router.weight.T
    best = logits.topk(layer.config.top_k, dim=-1)
    gates = torch.zeros_like(logits).scatter(-1, best.indices, best.values.softmax(-1))
    return (gates.unsqueeze(-1) * y).sum(-2)


@pytest.mark.parametrize("faithful", [True, False])
def test_mask_and_scale_reach_the_output_unless_faithful(faithful: bool) -> None:
    """The release's output depends on neither the mask nor phi (defect 1); ours does, unless `faithful` asks for it."""
    layer, _ = make(faithful=faithful)
    x = tokens(2, 4)
    static = torch.randn(OUTPUTS, INPUTS, dtype=torch.float64)
    layer.set_partition(torch.arange(OUTPUTS).lt(4)[:, None].expand(OUTPUTS, INPUTS), static)
    before = layer(x)
    assert torch.allclose(before, released(layer, x)) is faithful
    layer.partition.set_mask(~layer.partition.mask)
    assert torch.equal(layer(x), before) is faithful
    layer.partition.phi.data.fill_(1.0)
    changed = layer(x)
    layer.partition.phi.data.fill_(0.0)
    assert torch.equal(changed, layer(x)) is faithful


def test_gates_do_not_tie_at_the_start_unless_asked_to() -> None:
    """Defect 8: gates of zeros send every token to the same experts when nothing is drawn."""
    linear = nn.Linear(INPUTS, OUTPUTS)
    x = tokens(20, 5).float()
    loads = {}
    for start in ("normal", "zeros"):
        config = MixtureConfig(gate_init=start)
        layer: Any = MixtureLinear.of(linear_view(linear), config, torch.Generator().manual_seed(0)).eval()
        loads[start] = (layer.mixing_coefficients(x) > 0).sum(0)
    assert (loads["zeros"] > 0).sum() == 2
    assert (loads["normal"] > 0).sum() > 4


def test_random_experts_are_those_of_the_release_and_copies_the_default() -> None:
    """Defect 4: the released PadMoE starts from random weights, not from the pre-trained layer."""
    linear = nn.Linear(INPUTS, OUTPUTS)
    random = MixtureConfig(expert_init="random")
    layer: Any = MixtureLinear.of(linear_view(linear), random, torch.Generator().manual_seed(0))
    assert layer.bank.abs().max() <= INPUTS**-0.5
    assert not torch.allclose(layer.bank[0], layer.bank[1])
    layer = MixtureLinear.of(linear_view(linear), MixtureConfig(), torch.Generator().manual_seed(0))
    for expert in range(layer.num_kernels):
        assert torch.equal(layer.bank[expert], linear.weight)
    layer.set_partition()
    torch.testing.assert_close(layer.partition.static.data, linear.weight.data)


@pytest.mark.parametrize("scale", ["both", "pruned"])
@pytest.mark.parametrize("straight", [True, False])
@pytest.mark.parametrize("form", ["row", "channel", "weight", "dynamic", "static"])
def test_the_compact_form_computes_the_same(form: str, straight: bool, scale: Scale) -> None:
    """Invariant 10, by both forms of a product; it stores (1 - kappa) n + E kappa n numbers."""
    layer, _ = make(top_k=1 if straight else 2, straight_through=straight)
    mask = torch.zeros(OUTPUTS, INPUTS, dtype=torch.bool)
    if form in ("row", "weight"):
        mask[[0, 4, 7]] = True
    elif form == "channel":
        mask[:, 2:4] = True
    mask[0, 0] |= form == "weight"
    mask[5, 1] |= form == "weight"
    mask |= form == "dynamic"
    layer.set_partition(mask, torch.randn(OUTPUTS, INPUTS, dtype=torch.float64), scale)
    layer.partition.phi.data.fill_(0.6)
    assert layer.partition.layout().structure == form
    small = copy.deepcopy(layer)
    small.take_compact_form()
    dynamic = int(mask.sum())
    static = 0 if scale == "pruned" else mask.numel() - dynamic
    assert small.dynamic_parameters() + small.static_parameters() == EXPERTS * dynamic + static
    x = tokens(3, 5)
    torch.testing.assert_close(small(x), layer(x))
    with torch.no_grad():
        torch.testing.assert_close(small(x), layer(x))
        torch.testing.assert_close(small(x[:1, :1]), layer(x[:1, :1]))
    if form != "static":
        found = torch.autograd.grad(small(x).square().sum(), small.router.weight)
        torch.testing.assert_close(found, torch.autograd.grad(layer(x).square().sum(), layer.router.weight))
    assert small.in_features == INPUTS
    assert small.active_parameters() < count_parameters(layer).total


def test_the_faithful_sum_has_no_compact_form() -> None:
    layer, _ = make(faithful=True)
    layer.set_partition(torch.zeros(OUTPUTS, INPUTS, dtype=torch.bool))
    with pytest.raises(ModelError, match="no compact form"):
        layer.take_compact_form()


def test_padding_is_not_in_the_mean() -> None:
    x = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    real = torch.tensor([[1, 1, 1, 0, 0], [0, 1, 1, 1, 1]]).bool()
    means = sentence_means(x, real)
    torch.testing.assert_close(means[0], x[0, :3].mean(0))
    torch.testing.assert_close(means[1], x[1, 1:].mean(0))
    torch.testing.assert_close(sentence_means(x, None), x.mean(1))


def test_a_sentence_of_padding_has_mean_zero() -> None:
    x = torch.randn(1, 4, 3)
    assert not sentence_means(x, torch.zeros(1, 4, dtype=torch.bool)).any()


def test_images_are_sentences_of_pixels() -> None:
    x = torch.randn(2, 4, 5, 3, dtype=torch.float64)
    torch.testing.assert_close(sentence_means(x, None), x.mean((1, 2)))


@pytest.mark.parametrize("other", [{"top_k": 1}, {"level": "sentence"}, {"faithful": True}])
def test_a_state_of_a_mixture_that_computes_something_else_with_the_same_tensors_is_refused(other: Any) -> None:
    layer, _ = make(top_k=2)
    file = io.BytesIO()
    torch.save(layer.state_dict(), file)
    file.seek(0)
    state = torch.load(file, weights_only=True)
    make(top_k=2)[0].load_state_dict(state)
    with pytest.raises(RuntimeError, match=r"is a mixture with .*'level': 'token'.* in the state"):
        make(**({"top_k": 2} | other))[0].load_state_dict(state)


def test_packed_tokens_are_refused() -> None:
    with pytest.raises(ModelError, match=r"\(7, 3\)"):
        sentence_means(torch.randn(7, 3), None)
