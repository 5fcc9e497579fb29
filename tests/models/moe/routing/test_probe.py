"""Audit M5, M13: one probe for stock and converted mixtures, beside slow counts in float64; padding never counts."""

import copy
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from transformers import StaticCache

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.experts.remapped import NONE, remap
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, MoEFFN, convert, routing_probe
from sparsebench.models.moe.routing import probe as probe_module
from sparsebench.models.moe.routing.probe import LayerRouting, has_mixture

from .by_hand import LENGTHS, STOCK, counted, made, padded, rows

Build = Callable[[str], Any]


def layers(model: nn.Module) -> list[MoEFFN]:
    return [module for module in model.modules() if isinstance(module, MoEFFN)]


def probed(model: Any, *calls: dict[str, Any]) -> dict[str, LayerRouting]:
    with torch.no_grad(), routing_probe(model) as probe:
        for call in calls:
            model(**call)
    return probe.layers


def assert_same(found: dict[str, LayerRouting], expected: dict[str, LayerRouting]) -> None:
    assert found.keys() == expected.keys()
    for path, one in found.items():
        other = expected[path]
        assert (one.tokens, one.dead, one.layer) == (other.tokens, other.dead, path)
        torch.testing.assert_close(one.load, other.load)
        torch.testing.assert_close(one.importance, other.importance)
        assert one.entropy == pytest.approx(other.entropy)
        assert one.token_entropy == pytest.approx(other.token_entropy)


@pytest.mark.parametrize("name", [*STOCK, "ffn", "attention"])
def test_a_loop_over_tokens_counts_the_same(name: str, build: Build) -> None:
    """What a pass after the probe's has is not watched."""
    model, routers = made(build, name)
    with torch.no_grad():
        first = model.get_submodule(routers[0])
        first.weight[3] = -10 * first.weight[1]  # an expert that hardly any token wants
    batches = [padded("left", 3), padded("right", 40)]
    expected = counted(model, routers, batches)
    found = probed(model, *batches)
    model(**padded("left", 9))
    assert found.keys() == expected.keys()
    for path, (picks, weights, token_entropy) in expected.items():
        stats = found[path]
        assert (stats.layer, stats.tokens, stats.dropped) == (path, 2 * sum(LENGTHS), 0)
        assert stats.load.tolist() == pytest.approx([count / sum(picks) for count in picks])
        # The stock routers take their softmax in float32, the probe takes that of the logits in their own dtype.
        assert stats.importance.tolist() == pytest.approx([weight / sum(weights) for weight in weights], rel=1e-5)
        assert stats.token_entropy == pytest.approx(token_entropy)
        shares = [count / sum(picks) for count in picks if count]
        assert stats.entropy == pytest.approx(-sum(share * math.log(share) for share in shares))
        assert stats.dead == tuple(expert for expert, count in enumerate(picks) if not count)


@pytest.mark.parametrize("name", [*STOCK, "ffn", "attention"])
def test_padding_never_counts(name: str, build: Build) -> None:
    model = made(build, name)[0]
    expected = probed(model, *({"input_ids": row} for row in rows()))
    assert {stats.tokens for stats in expected.values()} == {sum(LENGTHS)}
    assert len(expected) == (4 if name == "attention" else 2)
    for side, filler in (("right", 0), ("right", 40), ("left", 0), ("left", 40)):
        assert_same(probed(model, padded(side, filler)), expected)


@pytest.mark.parametrize("name", ["mixtral", "attention"])
def test_further_forms_of_masks(name: str, build: Build) -> None:
    model = made(build, name)[0]
    expected = probed(model, *({"input_ids": row} for row in rows()))
    batch = padded("left", 40)
    length = batch["input_ids"].shape[1]
    causal = batch["attention_mask"].bool()[:, None, None, :] & torch.ones(length, length).tril().bool()
    assert_same(probed(model, batch | {"attention_mask": causal}), expected)
    if name == "mixtral":
        packed = torch.cat(rows(), dim=1)
        positions = torch.cat([torch.arange(n) for n in LENGTHS]).unsqueeze(0)
        assert_same(probed(model, {"input_ids": packed, "position_ids": positions, "use_cache": False}), expected)
        with pytest.raises(ModelError, match="use a DynamicCache"):
            probed(model, batch | {"cache": StaticCache(model.config, max_cache_len=16)})


@pytest.mark.parametrize("name", ["mixtral", "ffn", "attention"])
@torch.no_grad()
def test_decoding_with_a_cache(name: str, build: Build) -> None:
    """Each new token counts once, padding never; the last new token is not fed in again."""
    model = made(build, name)[0]
    batch = padded("left", 0)
    del batch["position_ids"]
    with routing_probe(model) as probe:
        model.generate(**batch, max_new_tokens=4, min_new_tokens=4, do_sample=False, pad_token_id=0)
    assert {stats.tokens for stats in probe.layers.values()} == {sum(LENGTHS) + 2 * 3}


def test_a_given_mask(build: Build) -> None:
    """For models that take none, or another one."""
    model = convert(build("timm_vit").double(), MoEConfig(num_experts=4, top_k=1)).eval()
    images = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0)).double()
    mask = torch.tensor([[0, 1, 1, 1, 1], [1, 0, 0, 1, 1]])
    with torch.no_grad(), routing_probe(model, mask) as probe:
        model(images)
    assert [stats.tokens for stats in probe.layers.values()] == [7, 7]
    with (
        pytest.raises(ModelError, match=r"mask of shape \(2, 4\) does not fit the 10 tokens of blocks.0.mlp"),
        routing_probe(model, mask[:, 1:]),
    ):
        model(images)
    model(images)  # its hooks are gone


@pytest.mark.parametrize("reentrant", [False, True])
@pytest.mark.parametrize("name", ["mixtral", "attention"])
def test_recomputed_passes_do_not_count(name: str, reentrant: bool, build: Build) -> None:
    model = made(build, name)[0].train()
    model.activation_checkpointing_enable({"use_reentrant": reentrant})
    model.enable_input_require_grads()
    with routing_probe(model) as probe:
        model(**padded("left", 3)).logits.sum().backward()
    assert {stats.tokens for stats in probe.layers.values()} == {sum(LENGTHS)}
    assert all(parameter.grad is not None for parameter in model.model.layers.parameters())


def test_what_is_beyond_capacity_goes_to_no_expert(build: Build) -> None:
    model = convert(build("llama").double(), MoEConfig(num_experts=4, top_k=1, capacity=0.5)).train()
    with torch.no_grad():
        for layer in layers(model):
            layer.router.weight.zero_()  # all logits tie: every token wants the same expert
    for stats in probed(model, padded("right", 9)).values():
        assert stats.tokens == 14 and len(stats.dead) == 3 and sorted(stats.load.tolist()) == [0, 0, 0, 1]
        assert stats.dropped == pytest.approx(1 - math.ceil(0.5 * 14 / 4) / 14)
        assert stats.entropy == 0 and stats.token_entropy == pytest.approx(math.log(4))


@pytest.mark.parametrize("name", ["mixtral", "ffn"])
def test_choices_behind_a_table_that_are_of_no_expert(name: str, build: Build) -> None:
    """Experts of transformers get such tokens with a weight of 0, and an index that means nothing."""
    model = made(build, name)[0]
    mlp = describe(model).blocks[0].mlp
    assert mlp is not None and mlp.experts is not None
    path, number = mlp.site.path, mlp.experts.num_experts
    before = probed(model, padded("right", 9))[path]
    targets = [NONE] * number
    targets[1], targets[2], targets[3] = 1, 0, NONE - 1  # the last one has become a constant
    remap(mlp, [2, 1], targets, torch.zeros(1, mlp.width, dtype=torch.float64))
    after = probed(model, padded("right", 9))[path]
    kept = before.load[[2, 1]]
    assert 0 < kept.sum() < 1
    torch.testing.assert_close(after.load, kept / kept.sum())
    torch.testing.assert_close(after.importance, before.importance[[2, 1]] / before.importance[[2, 1]].sum())
    assert after.dropped == pytest.approx(1 - float(kept.sum())) and after.tokens == before.tokens


def test_a_probe_changes_nothing_and_another_starts_from_zero(build: Build, example: Callable) -> None:
    model = convert(build("llama"), MoEConfig())
    ids = example(model)
    before = model(ids).logits
    for _ in range(2):
        with routing_probe(model) as probe, routing_probe(model) as inner:
            torch.testing.assert_close(model(ids).logits, before)
        assert probe.layers["model.layers.0.mlp"].tokens == inner.layers["model.layers.0.mlp"].tokens == 14
    clone = copy.deepcopy(model)
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in clone.modules())
    assert torch.equal(model(ids).logits, before)


def test_a_router_without_logits_has_no_entropy(build: Build, example: Callable) -> None:
    """But one whose logits keep the dimension of the batch has; weights that are all 0 have no shares."""
    model = made(build, "mixtral")[0]
    batch = {"input_ids": example(model)}
    expected = probed(model, batch)
    inner = {block.mlp.gate: block.mlp.gate.forward for block in model.model.layers}
    for gate, forward in inner.items():
        gate.forward = lambda x, forward=forward: (forward(x)[0].unsqueeze(0), *forward(x)[1:])
    assert_same(probed(model, batch), expected)
    for gate, forward in inner.items():
        gate.forward = lambda x, forward=forward: (None, 0 * forward(x)[1], forward(x)[2])
    for stats in probed(model, batch).values():
        assert stats.token_entropy is None and stats.importance.tolist() == [0] * 4


def test_a_probe_needs_a_mixture_and_tokens(build: Build) -> None:
    with pytest.raises(ModelError, match="LlamaForCausalLM has no mixture"), routing_probe(build("llama")):
        pass
    assert not has_mixture(build("llama")) and not has_mixture(nn.Linear(2, 2))
    assert all(has_mixture(made(build, name)[0]) for name in ("mixtral", "ffn", "attention"))
    with routing_probe(made(build, "ffn")[0]) as probe:
        pass
    with pytest.raises(ModelError, match="with routing_probe"):
        _ = probe.layers


@torch.no_grad()
def test_without_logits_evaluation_takes_its_own_way(build: Build, example: Callable, monkeypatch: Any) -> None:
    """The router does not see that somebody looks on, so it may choose by its fast path."""
    model = convert(build("llama").double(), MoEConfig(attn=AttnMoEConfig(num_experts=4, top_k=3)))
    ids = example(model)
    expected = probed(model, {"input_ids": ids})
    looked_on: list[bool] = []
    for layer in layers(model):
        forward = layer.router.forward
        monkeypatch.setattr(
            layer.router,
            "forward",
            lambda *args, forward=forward, router=layer.router, **kwargs: (
                looked_on.append(bool(router._forward_hooks)) or forward(*args, **kwargs)
            ),
        )
    with routing_probe(model, logits=False) as probe:
        model(ids)
    assert looked_on == [False, False]
    for path, stats in probe.layers.items():
        assert torch.equal(stats.load, expected[path].load)
        assert torch.equal(probe.picks[path], expected[path].load * stats.tokens * (3 if "attn" in path else 2))
        assert (stats.token_entropy is None) == path.endswith("mlp")


@pytest.mark.parametrize("name", ["mixtral", "attention"])
def test_passes_in_evaluation_may_be_excluded(name: str, build: Build) -> None:
    model = made(build, name)[0]
    with routing_probe(model, training_only=True) as probe:
        model(**padded("left", 3))
        assert not any(picks.any() for picks in probe.picks.values())
        model.train()(**padded("left", 3))
    assert {stats.tokens for stats in probe.layers.values()} == {sum(LENGTHS)}


def test_a_probe_that_cannot_be_opened_leaves_no_hooks(build: Build, monkeypatch: Any) -> None:
    model = made(build, "mixtral")[0]
    anatomy = describe(model)
    monkeypatch.setattr(anatomy.blocks[1].mlp.experts, "module", None)
    monkeypatch.setattr(probe_module, "describe", lambda model: anatomy)
    with pytest.raises(ModelError, match="nothing to watch"), routing_probe(model):
        pass
    assert not any(module._forward_pre_hooks or module._forward_hooks for module in model.modules())
