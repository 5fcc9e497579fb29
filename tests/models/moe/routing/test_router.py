import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.routing.choices import Choice, Routing
from sparsebench.models.moe.routing.router import GLURouter, LinearRouter, MLPRouter


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def router(**fields: object) -> LinearRouter:
    return LinearRouter(MoEConfig(**fields), normal(8, 16)).eval()


def test_top_k_softmax_equals_a_loop() -> None:
    layer = router(top_k=3, scale="paper")
    x = normal(5, 16, seed=1)
    routing = layer(x)
    for t in range(5):
        logits = layer.weight @ x[t]
        best = sorted(range(8), key=lambda e: -logits[e])[:3]
        exponentials = torch.stack([logits[e].exp() for e in best])
        assert routing.index[t].tolist() == best
        torch.testing.assert_close(routing.weight[t], exponentials / exponentials.sum() * (8 / 3))


def test_the_fast_choice_is_taken_in_evaluation_where_it_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = router(top_k=2)
    x = normal(5, 16)
    fast = Choice(*layer(x)[:2])
    monkeypatch.setattr(layer, "_fast_choice", lambda x_TD: fast)
    assert layer(x, choice_only=True) is fast
    assert isinstance(layer(x), Routing)
    assert isinstance(layer.train()(x, choice_only=True), Routing)


@pytest.mark.parametrize("score", ["softmax_topk", "sigmoid"])
def test_without_renormalisation_weights_are_probabilities(score: str) -> None:
    layer = router(top_k=2, score=score, renorm=False, scale=1.0)
    x = normal(20, 16)
    routing = layer(x)
    probability = layer.logits(x).softmax(-1) if score == "softmax_topk" else layer.logits(x).sigmoid()
    torch.testing.assert_close(routing.weight, probability.gather(1, routing.index))


@pytest.mark.parametrize(
    ("fields", "learns"),
    [
        ({"score": "topk_softmax"}, False),
        ({"score": "softmax_topk"}, False),
        ({"score": "softmax_topk", "renorm": False}, True),
        ({"score": "softmax_topk", "straight_through": True}, True),
        ({"score": "topk_softmax", "straight_through": True}, True),
    ],
)
def test_top_1_gradient_needs_unnormalised_weights(fields: dict, learns: bool) -> None:
    """A renormalised top-1 weight is identically 1, so that the router learns nothing from the task."""
    layer = router(top_k=1, **fields)
    (layer(normal(20, 16)).weight * normal(20, 1, seed=2)).sum().backward()
    assert layer.weight.grad is not None
    assert float(layer.weight.grad.norm()) > 1e-3 if learns else not layer.weight.grad.any()


def test_straight_through_has_value_1_and_the_gradient_of_the_probability() -> None:
    layer, plain = router(top_k=1, straight_through=True), router(top_k=1, score="softmax_topk", renorm=False)
    x, factor = normal(20, 16), normal(20, 1, seed=2)
    weight = layer(x).weight
    assert torch.equal(weight, torch.ones_like(weight))
    (weight * factor).sum().backward()
    (plain(x).weight * factor).sum().backward()
    torch.testing.assert_close(layer.weight.grad, plain.weight.grad)


def test_bf16_logits_are_computed_in_float32() -> None:
    x = normal(2, 16).bfloat16()
    layer = router().bfloat16()
    assert layer(x).logits.dtype == torch.float32
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = router().float()(x.float()).logits
    assert torch.equal(under_autocast, router().float()(x.float()).logits)


def test_mlp_router_equals_the_formula() -> None:
    hidden, output, x = normal(8, 16), normal(8, 8, seed=1), normal(5, 16, seed=2)
    layer = MLPRouter(MoEConfig(router="mlp"), hidden, output)
    torch.testing.assert_close(layer.logits(x), torch.tanh(x @ hidden.T) @ output.T)


@pytest.mark.parametrize("gated", [True, False])
def test_glu_router_is_the_size_of_an_activation(gated: bool) -> None:
    gate, up, gate_bias, up_bias = normal(8, 16), normal(8, 16, seed=1), normal(8, seed=2), normal(8, seed=3)
    layer = GLURouter(
        MoEConfig(router="glu", router_init="analytic"),
        gate=gate if gated else None,
        up=up,
        gate_bias=gate_bias if gated else None,
        up_bias=up_bias,
        activation=F.gelu,
    )
    x = normal(5, 16, seed=4)
    inward = x @ up.T + up_bias
    h = F.gelu(x @ gate.T + gate_bias) * inward if gated else F.gelu(inward)
    torch.testing.assert_close(layer.logits(x), h.abs())


def test_noise_is_for_training_alone_and_has_the_published_size() -> None:
    layer = router(noise="shazeer")
    x = normal(4000, 16)
    assert torch.equal(layer(x).logits, layer(x).logits) and layer(x).noisy is None
    routing = layer.train()(x)
    noise = (routing.noisy - routing.logits).detach()
    torch.testing.assert_close(routing.std, torch.full_like(routing.std, 0.7031), atol=1e-4, rtol=0)
    assert float(noise.mean().abs()) < 0.02 and float(noise.std()) == pytest.approx(0.703, abs=0.02)
    assert torch.equal(routing.index, routing.noisy.topk(2).indices)
    layer.noise.data.fill_(0.1)
    expected = F.softplus(0.1 * x.sum(1, keepdim=True)) + 0.01
    torch.testing.assert_close(layer(x).std, expected.expand(-1, 8))


@pytest.mark.parametrize("score", ["topk_softmax", "softmax_topk", "sigmoid", "none"])
def test_every_parameter_gets_a_gradient(score: str) -> None:
    layer = router(score=score, noise="shazeer").train()
    layer(normal(5, 16)).weight.sum().backward()
    assert all(parameter.grad is not None for parameter in layer.parameters())
