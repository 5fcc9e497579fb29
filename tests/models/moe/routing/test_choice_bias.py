"""Loss-free balance: who moves the bias, when, by how much, and where it is kept."""

import copy
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from sparsebench.models import load, save
from sparsebench.models.anatomy import describe
from sparsebench.models.moe import (
    AttnMoEConfig,
    MoEConfig,
    MoEFFN,
    aux_loss,
    convert,
    update_biases,
)
from sparsebench.models.moe.routing.choice_bias import ChoiceBias, discard_counts
from sparsebench.models.moe.routing.router import LinearRouter

Mixtures = Callable[[MoEConfig], MoEFFN]
CONFIG = MoEConfig(num_experts=4, top_k=2, balance="bias", bias_rate=0.01)


def biases(model: Any) -> list[Tensor]:
    return [module.value.clone() for module in model.modules() if isinstance(module, ChoiceBias)]


@pytest.mark.parametrize("score", ["topk_softmax", "softmax_topk", "sigmoid", "none"])
def test_the_bias_decides_the_choice_and_not_the_weights(score: str, tokens: Callable[..., Tensor]) -> None:
    config = dataclasses.replace(CONFIG, score=score, scale=1.5)
    weight = tokens(4, seed=3)
    router = LinearRouter(config, weight)
    b = [0.2, -0.1, 0.0, 0.05]
    router.choice_bias.value += torch.tensor(b)
    x_TD = tokens(20)
    routing = router(x_TD)
    moved = 0
    for t in range(20):
        logits = weight @ x_TD[t]
        scores = logits.sigmoid() if score == "sigmoid" else logits.exp() / logits.exp().sum()
        best = sorted(range(4), key=lambda e: -(float(scores[e]) + b[e]))[:2]
        moved += set(best) != set(logits.topk(2).indices.tolist())
        assert routing.index[t].tolist() == best
        chosen = scores[best] if score != "none" else torch.ones(2, dtype=torch.float64)
        torch.testing.assert_close(routing.weight[t].detach(), 1.5 * chosen / chosen.sum())
    assert moved > 2


def test_a_step_by_hand() -> None:
    """Loads 5, 3, 3, 1 about a mean of 3: down, stay, stay, up."""
    bias = ChoiceBias(4, 0.25, torch.device("cpu"))
    chosen = [[0, 1], [0, 2], [0, 1], [0, 2], [0, 3], [1, 2]]
    bias.count(torch.tensor(chosen[:4]))
    bias.count(torch.tensor(chosen[4:]))
    bias.update()
    assert bias.value.tolist() == [-0.25, 0.0, 0.0, 0.25]
    bias.update()
    assert bias.value.tolist() == [-0.25, 0.0, 0.0, 0.25], "nothing was chosen since"


def hand(chosen: list[int], experts: int, rate: float, value: list[float]) -> list[float]:
    """One step in plain Python."""
    mean = len(chosen) / experts
    moved = []
    for expert, old in enumerate(value):
        load = chosen.count(expert)
        moved.append(old + rate * ((mean > load) - (mean < load)))
    return moved


def test_training_steps_against_counts_by_hand(mixture: Mixtures, tokens: Callable[..., Tensor]) -> None:
    """Two batches a step, the second with padding; five steps of the router in between."""
    layer = mixture(CONFIG)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    expected = [0.0] * 4
    for step in range(5):
        chosen: list[int] = []
        for batch in (0, 1):
            x_TD = tokens(11, seed=2 * step + batch)
            real = torch.arange(11) < (11 if batch == 0 else 6)
            chosen += layer.router(x_TD).index[real].flatten().tolist()
            layer.token_mask = None if batch == 0 else real
            layer(x_TD).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        update_biases(layer)
        expected = hand(chosen, 4, 0.01, expected)
        assert layer.router.choice_bias.value.tolist() == pytest.approx(expected, abs=1e-8)
    assert any(expected)


def test_evaluation_frozen_routers_and_recomputation_count_nothing(
    mixture: Mixtures, tokens: Callable[..., Tensor]
) -> None:
    layer = mixture(CONFIG)
    bias = layer.router.choice_bias
    layer.eval()(tokens(8))
    assert bias.pending is None
    layer.train().router.requires_grad_(False)
    layer(tokens(8))
    assert bias.pending is None, "a frozen router stays as it is, its choice too"
    layer.router.requires_grad_(True)
    for use_reentrant in (True, False):
        x_TD = tokens(8).requires_grad_()
        checkpoint(layer, x_TD, use_reentrant=use_reentrant).sum().backward()
        assert int(bias.pending.sum()) == 16, "once, although the forward pass ran twice"
        discard_counts(layer)
        assert bias.pending is None


def test_there_is_no_loss_and_no_gradient_in_it(mixture: Mixtures, tokens: Callable[..., Tensor]) -> None:
    layer = mixture(CONFIG)
    layer(tokens(8))
    assert float(aux_loss(layer)) == 0 and not aux_loss(layer).requires_grad
    assert "router.choice_bias.value" not in dict(layer.named_parameters())
    assert mixture(MoEConfig(num_experts=4)).router.choice_bias is None
    assert "choice_bias" not in " ".join(mixture(MoEConfig(num_experts=4)).state_dict())


def test_small_steps_are_not_lost_in_bfloat16(mixture: Mixtures) -> None:
    layer = mixture(CONFIG)
    layer.router.choice_bias.value += 1 + torch.arange(4) / 1000
    expected = layer.router.choice_bias.value.clone()
    for cast in (layer.bfloat16, layer.half, layer.double, layer.float):
        cast()
        assert layer.router.choice_bias.value.dtype == torch.float32
        assert torch.equal(layer.router.choice_bias.value, expected)
    assert layer.to("meta").router.choice_bias.value.is_meta
    assert layer.bfloat16().router.choice_bias.value.dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_saved_and_loaded(dtype: torch.dtype, build: Any, run: Any, example: Any, tmp_path: Path) -> None:
    attention = AttnMoEConfig(num_experts=4, top_k=2, balance="bias")
    model = convert(build("llama"), dataclasses.replace(CONFIG, attn=attention)).to(dtype)
    for number, module in enumerate(model.modules()):
        if isinstance(module, ChoiceBias):
            module.value += 0.1 + number / 1000
    save(model, tmp_path / "saved")
    loaded = load(tmp_path / "saved")
    assert len(biases(loaded)) == 4
    for one, other in zip(biases(loaded), biases(model), strict=True):
        assert one.dtype == torch.float32 and torch.equal(one, other)
    ids = example(model)
    assert torch.equal(run(loaded, ids), run(model, ids))
    assert loaded.model.layers[0].mlp.router.choice_bias.rate == 0.01


def test_kept_experts_keep_their_bias(build: Any) -> None:
    model = convert(build("llama"), dataclasses.replace(CONFIG, num_experts=8))
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    layer = mlp.site.get()
    layer.router.choice_bias.value += torch.arange(8)
    layer.train()(torch.randn(5, 32))
    mlp.experts.keep([6, 1, 3])
    assert layer.router.choice_bias.value.tolist() == [6, 1, 3]
    layer(torch.randn(5, 32))
    update_biases(model)
    assert float((layer.router.choice_bias.value - torch.tensor([6.0, 1, 3])).abs().max()) == pytest.approx(
        0.01, rel=1e-3
    )


def test_heads_too_and_padding_is_not_counted(build: Any) -> None:
    attention = AttnMoEConfig(num_experts=4, top_k=2, balance="bias")
    model = convert(build("llama"), dataclasses.replace(CONFIG, attn=attention)).train()
    ids = torch.arange(3, 21).view(2, 9)
    mask = (torch.arange(9) >= torch.tensor([[0], [4]])).long()
    model(input_ids=ids, attention_mask=mask)
    counted = [module.pending for module in model.modules() if isinstance(module, ChoiceBias)]
    assert [int(pending.sum()) for pending in counted] == [2 * 14] * 4
    assert len(biases(copy.deepcopy(model))) == 4
    update_biases(model)
    assert all(bias.any() for bias in biases(model))
