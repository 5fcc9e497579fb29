"""Moments block by block, against whole passes of the model with hooks of the test's own."""

from contextlib import closing
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.linear.layerwise import layerwise
from sparsebench.models.compression.linear.linear_inputs import watch_inputs
from sparsebench.models.compression.linear.linear_map import LinearMap
from sparsebench.models.compression.linear.moments import Moments
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert

from ...stock_mixtures import stock
from ..slimming.mixtures import BUILDERS, batches, mixture, run


def whole_passes(model: nn.Module, maps: list[LinearMap], name: str, weighted: bool) -> dict[str, Moments]:
    """The oracle: hooks on the whole model, which runs as users run it."""
    found = {one.source.name: Moments(one.shape[1], full=True) for one in maps if one.source is not None}
    mask: list[Tensor | None] = [None]
    sources = {one.source for one in maps if one.source is not None}

    def take(source: Any, x: Tensor, gate: Tensor | None) -> None:
        found[source.name].add(x, gate if weighted else None)

    for batch in batches(name):
        if isinstance(batch, dict):
            mask[0] = batch["attention_mask"]
        with torch.no_grad(), watch_inputs(sources, take, lambda: mask[0]):
            run(model, batch)
    return found


CASES = [(name, weighted) for name in BUILDERS if name != "graphsgpt" for weighted in (False, True)]
CASES.remove(("listed", True))


@pytest.mark.parametrize(("name", "weighted"), CASES)
def test_moments_are_those_of_whole_passes(name: str, weighted: bool) -> None:
    model = mixture(name)
    maps = linear_maps(model)
    wanted = whole_passes(model, maps, name, weighted)
    seen = 0
    for one, moments in layerwise(model, batches(name), maps, full=True, weighted=weighted):
        assert one.source is not None
        other = wanted[one.source.name]
        assert moments.tokens == other.tokens
        if moments.tokens:
            torch.testing.assert_close(moments.matrix, other.matrix, rtol=1e-4, atol=1e-4)
            seen += 1
    assert seen > 2


def test_molecules_are_seen_without_their_padding() -> None:
    model = mixture("graphsgpt")
    tokens: dict[str, int] = {}
    for one, seen in layerwise(model, batches("graphsgpt"), linear_maps(model), full=False):
        assert one.source is not None
        tokens[one.source.name] = seen.tokens
    found = sum(count for name, count in tokens.items() if name.startswith("layers.0") and name.endswith("in"))
    real = sum(int(batch.lengths.sum()) for batch in batches("graphsgpt"))
    words = 2 * 2 * 2
    assert found == 2 * (real + words), "top-2 experts"


@pytest.mark.parametrize("name", ["mixtral", "deepseek_v3", "converted", "gpt_oss"])
@pytest.mark.parametrize("memory", [1, 20_000])
def test_little_memory_changes_no_bit(name: str, memory: int) -> None:
    """What a block's maps become while others are still to be seen does not reach these."""

    def halved(memory: int) -> list[tuple[str, Tensor]]:
        model = mixture(name)
        maps = linear_maps(model, ("attention", "router", "experts"))
        found = []
        for one, seen in layerwise(model, batches(name), maps, full=True, memory=memory):
            found.append((one.name, seen.matrix.clone() if seen.tokens else torch.zeros(0)))
            one.write(one.weight * 0.5)
        return found

    ours, reference = halved(memory), halved(2**30)
    for (name, matrix), (other, wanted) in zip(ours, reference, strict=True):
        assert name == other and torch.equal(matrix, wanted)


def test_a_block_sees_what_the_changed_ones_before_it_give() -> None:
    changed, fresh = mixture("mixtral"), mixture("mixtral")
    for one in linear_maps(fresh):
        if one.block == 0:
            one.write(torch.zeros(one.shape))
    wanted = whole_passes(fresh, linear_maps(fresh), "mixtral", False)
    for one, seen in layerwise(changed, batches("mixtral"), linear_maps(changed), full=True):
        if one.block == 0:
            one.write(torch.zeros(one.shape))
        elif seen.tokens and one.source is not None:
            torch.testing.assert_close(seen.matrix, wanted[one.source.name].matrix, rtol=1e-4, atol=1e-4)


def test_left_early_the_model_is_as_it_was() -> None:
    model = mixture("mixtral").train()
    with closing(layerwise(model, batches("mixtral"), linear_maps(model), full=False)) as streamed:
        next(streamed)
    assert all(module.training for module in model.modules())
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_nothing_shows_the_inputs_of_the_second_layer_of_a_router() -> None:
    model = convert(stock("Llama"), MoEConfig(num_experts=4, top_k=2, router="mlp"))
    maps = linear_maps(model, ("router",))
    tokens = {one.role: seen.tokens for one, seen in layerwise(model, batches("converted"), maps, full=False)}
    assert tokens == {"hidden": 38, "output": 0}


def test_weights_that_nobody_knows_are_refused() -> None:
    """Experts in a list are called without them; other parts have none."""
    for name, maps in (("listed", linear_maps(mixture("listed"))), ("vit", linear_maps(mixture("vit"), ("shared",)))):
        with pytest.raises(ModelError, match="nothing says what the router weighs the tokens of"):
            next(layerwise(mixture(name), batches(name), maps, full=False, weighted=True))


def test_no_batches_are_refused() -> None:
    model = mixture("mixtral")
    with pytest.raises(ModelError, match="no calibration batches"):
        next(layerwise(model, [], linear_maps(model), full=False))
