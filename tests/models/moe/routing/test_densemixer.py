"""DenseMixer against the dense mixture written out in float64."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, MoEFFN, convert, routing_probe
from sparsebench.models.moe.routing.densemixer import passed_weights

Mixtures = Callable[[MoEConfig], MoEFFN]
SCORES: dict[str, dict[str, Any]] = {
    "softmax of chosen": {"score": "topk_softmax"},
    "softmax, renormalised": {"score": "softmax_topk"},
    "softmax of all": {"score": "softmax_topk", "renorm": False},
    "sigmoid": {"score": "sigmoid"},
    "sigmoid, as it is": {"score": "sigmoid", "renorm": False},
    "best alone": {"score": "softmax_topk", "top_k": 1},
    "by a bias": {"score": "sigmoid", "balance": "bias"},
}


def config(**fields: Any) -> MoEConfig:
    return MoEConfig(**({"num_experts": 4, "top_k": 2, "scale": 1.5} | fields))


def gradients(layer: MoEFFN, x_TD: Tensor, weigh_TD: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
    """Output, and the gradients of sum(output^2 * weigh), that of x among them."""
    layer.zero_grad()
    x_TD = x_TD.clone().requires_grad_()
    out_TD = layer(x_TD)
    (out_TD.square() * weigh_TD).sum().backward()
    found = {name: parameter.grad.clone() for name, parameter in layer.named_parameters()}
    return out_TD.detach(), found | {"x": x_TD.grad}


def each_expert(layer: MoEFFN, x_TD: Tensor) -> Tensor:
    """E_e(x) of every expert (T, N, D)."""
    outputs = []
    for expert in range(layer.router.num_routed):
        weights = layer.experts.weights(expert)
        acted = torch.nn.functional.silu(x_TD @ weights.gate.T) * (x_TD @ weights.up.T)
        outputs.append(acted @ weights.down.T)
    return torch.stack(outputs, dim=1)


def dense_router_gradient(layer: MoEFFN, x_TD: Tensor, weigh_TD: Tensor, out_TD: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of the router and, through it alone, of x: all experts mixed by their scores, over the sum of the
    chosen scores where these are renormalised (a sum of sigmoids has a gradient; a sum of probabilities is 1).
    """
    router = layer.router
    weight_ND = router.weight.detach().clone().requires_grad_()
    x_TD = x_TD.clone().requires_grad_()
    logits_TN = x_TD @ weight_ND.T
    sigmoid = router.score == "sigmoid"
    score_TN = logits_TN.sigmoid() if sigmoid else logits_TN.exp() / logits_TN.exp().sum(1, keepdim=True)
    index_TK = router(x_TD.detach()).index
    chosen_TN = torch.zeros_like(score_TN).scatter(1, index_TK, 1).detach()
    mixed_TN = score_TN
    if router.renorm or router.score == "topk_softmax":
        total_T1 = (score_TN * chosen_TN).sum(1, keepdim=True).detach()
        mixed_TN = score_TN / total_T1
        if sigmoid:
            share_TN = (score_TN * chosen_TN).detach() / total_T1
            mixed_TN = mixed_TN - share_TN * score_TN.sum(1, keepdim=True) / total_T1
    dense_TD = router.scale * (mixed_TN.unsqueeze(-1) * each_expert(layer, x_TD.detach()).detach()).sum(1)
    dense_TD.backward(2 * out_TD * weigh_TD)
    return weight_ND.grad, x_TD.grad


@pytest.mark.parametrize("name", SCORES)
def test_the_router_learns_from_all_experts_and_they_from_their_tokens(
    name: str, mixture: Mixtures, tokens: Callable[..., Tensor]
) -> None:
    x_TD = tokens(30)
    weigh_TD = tokens(30, seed=1)
    plain = mixture(config(**SCORES[name]))
    dense = mixture(config(densemixer=True, **SCORES[name]))
    for layer in (plain, dense):
        if layer.router.choice_bias is not None:
            layer.router.choice_bias.value += torch.tensor([0.3, -0.2, 0.0, 0.1])
    expected_TD, of_plain = gradients(plain, x_TD, weigh_TD)
    out_TD, found = gradients(dense, x_TD, weigh_TD)
    assert torch.equal(out_TD, expected_TD)
    for part in ("experts.gate_up", "experts.down"):
        assert torch.equal(found[part], of_plain[part]), part
    of_router, of_x = dense_router_gradient(dense, x_TD, weigh_TD, out_TD)
    torch.testing.assert_close(found["router.weight"], of_router, rtol=1e-10, atol=1e-12)
    assert float((found["router.weight"] - of_plain["router.weight"]).norm()) > 1e-2
    # x gets what it gets through experts of constant weights, and what it gets through the router.
    inner = x_TD.clone().requires_grad_()
    routing = dense.router(x_TD)
    dense.experts(inner, routing.index, routing.weight.detach()).backward(2 * out_TD * weigh_TD)
    torch.testing.assert_close(found["x"], inner.grad + of_x, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("score", ["topk_softmax", "sigmoid"])
def test_where_all_experts_are_chosen_the_gradient_is_the_ordinary_one(
    score: str, mixture: Mixtures, tokens: Callable[..., Tensor]
) -> None:
    found = []
    for densemixer in (False, True):
        layer = mixture(config(top_k=4, score=score, densemixer=densemixer))
        found.append(gradients(layer, tokens(20), tokens(20, seed=1))[1])
    for name, gradient in found[0].items():
        torch.testing.assert_close(found[1][name], gradient, rtol=1e-10, atol=1e-12)


def test_the_value_of_the_passed_weights_is_that_of_the_chosen_ones() -> None:
    score_TN = torch.tensor([[0.4, 0.1, 0.3, 0.2]], dtype=torch.float64, requires_grad=True)
    index_TK = torch.tensor([[0, 2]])
    plain = passed_weights(score_TN, index_TK, renorm=False)
    assert plain.tolist() == [[0.4, 0.0, 0.3, 0.0]]
    plain[0, 1].backward()
    assert score_TN.grad is not None and score_TN.grad.tolist() == [[0.0, 1.0, 0.0, 0.0]]
    normed = passed_weights(score_TN, index_TK, renorm=True)
    torch.testing.assert_close(normed.detach(), torch.tensor([[4 / 7, 0, 3 / 7, 0]], dtype=torch.float64))


def test_noise_and_balance_go_on_as_they_do(mixture: Mixtures, tokens: Callable[..., Tensor]) -> None:
    """The gradient of the balance loss is that of the plain weights: only the output is mixed densely."""
    found = []
    for densemixer in (False, True):
        layer = mixture(config(noise="shazeer", balance="cv2", densemixer=densemixer))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            layer(tokens(20))
        assert layer.aux is not None
        layer.aux.backward()
        found.append((layer.aux.detach(), layer.router.weight.grad, layer.router.noise.grad))
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_in_evaluation_and_without_gradients_nothing_is_mixed(mixture: Mixtures, tokens: Callable[..., Tensor]) -> None:
    layer = mixture(config(densemixer=True))
    assert layer.router(tokens(5)).passed is not None
    with torch.no_grad():
        assert layer.router(tokens(5)).passed is None
    assert layer.eval().router(tokens(5)).passed is None


def test_autocast_reaches_the_experts_that_were_not_chosen(mixture: Mixtures, tokens: Callable[..., Tensor]) -> None:
    layer = mixture(config(densemixer=True)).float()
    types = []
    layer.experts.register_forward_hook(lambda module, args, out: types.append(torch.is_autocast_enabled("cpu")))
    with torch.autocast("cpu", torch.bfloat16):
        out_TD = layer(tokens(20).float())
    out_TD.float().square().sum().backward()
    assert len(types) == 5 and all(types)
    found = layer.router.weight.grad.clone()
    exact = gradients(layer, tokens(20).float(), torch.ones(20, 6))[1]["router.weight"]
    assert float((found - exact).norm() / exact.norm()) < 0.02  # products of bfloat16, 2^-9 each


def test_a_whole_model_with_a_probe_on_it(build: Callable[[str], Any], example: Callable[..., Tensor]) -> None:
    """The experts that are asked in the backward pass are no choices."""
    model = convert(build("llama"), config(num_experts=8, densemixer=True)).train()
    ids = example(model)
    with routing_probe(model) as probe:
        model(ids, labels=ids).loss.backward()
    for layer in probe.layers.values():
        assert layer.tokens == ids.numel()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"score": "none"}, "score='none' weighs experts equally"),
        ({"top_k": 1, "straight_through": True}, "densemixer and straight_through"),
        ({"capacity": 1.0}, "cannot go with a capacity"),
    ],
)
def test_what_it_cannot_go_with(fields: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        config(densemixer=True, **fields)


def test_heads_have_no_dense_mixture() -> None:
    with pytest.raises(ModelError, match="densemixer is for the experts of FFNs"):
        AttnMoEConfig(densemixer=True)
