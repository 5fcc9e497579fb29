"""Layers, blocks and experts dropped one after the other, against plain loops over the model as it is by then."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.trimming.attention_drop import drop_attentions
from sparsebench.models.compression.trimming.block_drop import drop_blocks
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.compression.trimming.layer_drop import drop_layers, droppable_layers
from sparsebench.models.compression.trimming.similarity import layer_similarity

from ...zoo.text_families import padded_inputs
from .decoding import decodes_and_comes_back
from .test_block_drop import mixtral

EXPERTS = 6


@torch.no_grad()
def mean_softmax(model: Any, batch: dict[str, Tensor]) -> dict[int, Tensor]:
    """Of each mixture, by layer: the router's mean softmax over the real tokens, from what a plain pass shows."""
    found: dict[int, Tensor] = {}
    hooks: list[Any] = []
    for index, layer in enumerate(model.model.layers):
        if not hasattr(layer.mlp, "gate"):
            continue

        def look(module: Any, args: tuple, index: int = index) -> None:
            x = args[0][batch["attention_mask"].bool()]
            found[index] = (x @ module.gate.weight.T).softmax(-1).mean(0)

        hooks.append(layer.mlp.register_forward_pre_hook(look))
    model(**batch)
    for hook in hooks:
        hook.remove()
    return found


def down_projections(model: Any) -> dict[int, Tensor]:
    return {
        index: layer.mlp.experts.down_proj.detach().clone()
        for index, layer in enumerate(model.model.layers)
        if hasattr(layer.mlp, "experts")
    }


def kept_of(before: Tensor, after: Tensor) -> list[int]:
    """Which experts of before those of after are, by their weights."""
    return [next(place for place, old in enumerate(before) if torch.equal(old, new)) for new in after]


@pytest.mark.parametrize("gone", [[0], [2], [1, 4]], ids=str)
def test_experts_of_a_model_without_some_layers_are_numbered_right(gone: list[int]) -> None:
    """Invariant B6, defect 11: the released code counted removed layers as -1 experts and dropped others."""
    model = mixtral()
    drop_layers(model, gone)
    batch = padded_inputs(model)
    scores = mean_softmax(model, batch)
    before = down_projections(model)
    assert list(scores) == [index for index in range(6) if index not in gone]

    keep = 3
    expert_drop(model, mixture_statistics(model, [batch]), keep, score="router", scope="global")
    # The best of each layer first, so that none is empty; then the best of all the others.
    wanted = {index: {int(mean.argmax())} for index, mean in scores.items()}
    others = [(float(mean[e]), index, e) for index, mean in scores.items() for e in range(EXPERTS)]
    for _, index, expert in sorted(others, reverse=True):
        if sum(map(len, wanted.values())) < keep * len(scores):
            wanted[index].add(expert)
    after = down_projections(model)
    assert {index: set(kept_of(before[index], after[index])) for index in after} == wanted
    assert len({len(kept) for kept in wanted.values()}) > 1  # not as many in each: the numbering matters


def test_a_layer_that_keeps_all_hands_its_outputs_on() -> None:
    """Defect 12: the released code did not run a layer with nothing to drop, and the next one scored stale inputs."""
    model = mixtral()
    batch = padded_inputs(model)
    scores = mean_softmax(model, batch)
    before = down_projections(model)
    numbers = [EXPERTS, 2, EXPERTS, EXPERTS, 3, 1]
    expert_drop(model, mixture_statistics(model, [batch]), numbers, score="router")
    for index, after in down_projections(model).items():
        wanted = scores[index].topk(numbers[index]).indices.sort().values
        assert kept_of(before[index], after) == wanted.tolist()


def test_similarities_are_those_of_the_model_as_it_is_by_then() -> None:
    """Slim or trim first, then measure: what was cut before is in the states."""
    model = mixtral()
    batch = padded_inputs(model)
    whole = layer_similarity(model, [batch], droppable_layers(model), dtype=torch.float64)
    expert_drop(model, mixture_statistics(model, [batch]), [1] * 6, score="frequency")
    cut = layer_similarity(model, [batch], droppable_layers(model), dtype=torch.float64)
    assert cut.keys() == whole.keys() and all(abs(cut[index] - whole[index]) > 1e-9 for index in cut)


def test_a_chain_of_all_saves_and_decodes(tmp_path: Path) -> None:
    model = mixtral()
    batch = padded_inputs(model)
    drop_blocks(model, [1])
    drop_layers(model, [3])
    drop_attentions(model, [0])
    expert_drop(model, mixture_statistics(model, [batch]), 4)
    views = describe(model).blocks
    assert [block.mlp is None for block in views] == [index == 3 for index in range(5)]
    assert [block.attention is None for block in views] == [index == 0 for index in range(5)]
    assert all(block.mlp.experts.num_experts == 4 for block in views if block.mlp is not None)  # type: ignore[union-attr]
    decodes_and_comes_back(model, tmp_path)
