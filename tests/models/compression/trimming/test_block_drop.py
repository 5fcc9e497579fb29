"""Block Drop: exact, numbered again, decoding with a cache, a stock checkpoint; the right window, by brute force."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.block_drop import choose_window, drop_blocks, droppable_blocks, windows
from sparsebench.models.compression.trimming.choice import choose
from sparsebench.models.compression.trimming.similarity import block_similarity
from sparsebench.models.errors import ModelError

from ...zoo.text_families import MIXTURES, outputs, padded_inputs
from .decoding import decodes_and_comes_back

SIZES = MIXTURES["Mixtral"].sizes | {"num_hidden_layers": 6}


def mixtral(seed: int = 0) -> Any:
    """Six blocks with clearly different effects."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.MixtralForCausalLM(transformers.MixtralConfig(**SIZES)).double().eval()
        for parameter in model.parameters():
            parameter.data += torch.randn_like(parameter) * 0.2
    model.set_experts_implementation("eager")
    return model


@torch.no_grad()
def silence(layer: Any) -> None:
    layer.self_attn.o_proj.weight.zero_()
    layer.mlp.experts.down_proj.zero_()


@torch.no_grad()
def states(model: Any, batch: dict[str, Tensor]) -> list[Tensor]:
    """What enters each block, and what leaves the last, of the real tokens."""
    found: list[Tensor] = []
    hooks = [
        layer.register_forward_pre_hook(lambda module, args: found.append(args[0])) for layer in model.model.layers
    ]
    hooks.append(model.model.norm.register_forward_pre_hook(lambda module, args: found.append(args[0])))
    model(**batch)
    for hook in hooks:
        hook.remove()
    return [state[batch["attention_mask"].bool()] for state in found]


def test_blocks_without_effect_go_first_and_are_not_missed() -> None:
    """Invariant B3."""
    model = mixtral()
    for index in (1, 4):
        silence(model.model.layers[index])
    before = outputs(model)
    similarity = block_similarity(model, [padded_inputs(model)], dtype=torch.float64)
    chosen = choose(droppable_blocks(model), 2, similarity=similarity)
    assert chosen == (1, 4) and [similarity[index] for index in chosen] == pytest.approx([1.0, 1.0], abs=1e-12)
    dropped = drop_blocks(model, chosen)
    assert (dropped.part, dropped.blocks, dropped.paths) == ("block", (1, 4), ("model.layers.1", "model.layers.4"))
    torch.testing.assert_close(outputs(model), before, atol=1e-12, rtol=1e-12)


def test_no_block_dropped_is_no_change() -> None:
    """Invariant B2."""
    model = mixtral()
    before = outputs(model)
    assert drop_blocks(model, choose_window(droppable_blocks(model), 0)).parameters == 0
    assert torch.equal(outputs(model), before)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_window_is_that_of_brute_force(n: int, seed: int) -> None:
    """Defect 9: the released code read the similarity of windows of one block more than it removed."""
    model = mixtral(seed)
    batch = padded_inputs(model)
    hidden = states(model, batch)
    wanted = {}
    for start in range(6 - n + 1):
        wanted[start] = float(F.cosine_similarity(hidden[start], hidden[start + n], dim=-1).mean())
    similarity = block_similarity(model, [batch], window=n, dtype=torch.float64)
    assert similarity == pytest.approx(wanted, abs=1e-12)
    best = max(wanted, key=wanted.__getitem__)
    assert choose_window(range(6), n, similarity=similarity) == tuple(range(best, best + n))


def test_it_decodes_with_a_cache_and_is_a_stock_checkpoint(tmp_path: Path) -> None:
    """Invariant B3: cached equals uncached; and the file is one of Mixtral with fewer layers."""
    model = mixtral()
    drop_blocks(model, [1, 2, 5])
    assert type(model) is transformers.MixtralForCausalLM and model.config.num_hidden_layers == 3
    assert type(decodes_and_comes_back(model, tmp_path)) is transformers.MixtralForCausalLM


def test_windows_keep_off_blocks_that_stay() -> None:
    assert windows([0, 1, 3, 4, 5], 2) == [0, 3, 4]
    similarity = {0: 0.1, 1: 0.9, 3: 0.5, 4: 0.5}
    assert choose_window([0, 1, 3, 4, 5], 2, similarity=similarity) == (4, 5)
    assert choose_window([0, 1, 3, 4, 5], 3, choice="first") == (3, 4, 5)
    with pytest.raises(ModelError, match="no 4 neighbouring blocks can be dropped"):
        choose_window([0, 1, 3, 4, 5], 4, choice="last")
    with pytest.raises(ModelError, match="n=6 must be a whole number from 0 to 5"):
        choose_window([0, 1, 3, 4, 5], 6, choice="last")


def test_no_window_spans_what_lies_between_two_stages() -> None:
    swin: Any = timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=32, window_size=2, embed_dim=8, depths=(2, 2), num_heads=(2, 2)
    ).eval()
    similarity = block_similarity(swin, [torch.randn(2, 3, 32, 32)], window=2)
    assert list(similarity) == [0, 2]
    (start, _) = choose_window(droppable_blocks(swin), 2, similarity=similarity)
    assert start in (0, 2)
    with pytest.raises(ModelError, match="none of the windows of 3 neighbouring blocks"):
        choose_window(range(4), 3, similarity=block_similarity(swin, [torch.randn(2, 3, 32, 32)], window=3))


def test_random_windows_reach_every_place() -> None:
    drawn = set()
    for seed in range(30):
        generator = torch.Generator().manual_seed(seed)
        drawn.add(choose_window(range(5), 2, choice="random", generator=generator))
    assert drawn == {(start, start + 1) for start in range(4)}


def test_images_and_blocks_that_have_to_stay(build: Callable[[str], nn.Module], example: Callable[..., Tensor]) -> None:
    vit: Any = build("timm_vit")
    before = vit(example(vit))
    drop_blocks(vit, choose(droppable_blocks(vit), 1, choice="first"))
    assert vit(example(vit)).isfinite().all() and not torch.equal(vit(example(vit)), before)
    cnn: Any = build("efficientnet")
    stays = set(range(len(describe(cnn).blocks))) - set(droppable_blocks(cnn))
    assert stays
    with pytest.raises(ModelError, match="it has to stay"):
        drop_blocks(cnn, stays)


def test_a_model_without_blocks_left_or_with_others_is_refused() -> None:
    model = mixtral()
    with pytest.raises(ModelError, match="at least one block"):
        drop_blocks(model, range(6))
    with pytest.raises(ModelError, match=r"must be different blocks of 0\.\.5"):
        drop_blocks(model, [6])
    assert len(model.model.layers) == 6
