"""Decoding with per-expert caches equals the full forward pass."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import DynamicCache

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.cache import Cell, ExpertCacheLayer
from sparsebench.models.moe.attention.convert_attention import AttnMoEConfig, convert_attention

from .test_layer import MODES, build_double

Build = Callable[[str], nn.Module]


@pytest.fixture
def make(build: Build) -> Callable[..., nn.Module]:
    """`make("llama", mode)`: a converted model in float64 whose attention is far from uniform."""

    def make(family: str, mode: str = "drop_kv", **fields: object) -> nn.Module:
        model = build_double(build, family, **fields)
        model.generation_config.pad_token_id = 0
        return convert_attention(model, AttnMoEConfig(num_experts=4, top_k=2, mode=mode))

    return make


def left_padded() -> tuple[Tensor, Tensor]:
    """Rows of 9, 5 and 2 tokens."""
    ids = torch.randint(3, 64, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = (torch.arange(9) >= 9 - torch.tensor([9, 5, 2]).unsqueeze(1)).long()
    return ids * mask, mask


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen2", "qwen3"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@torch.no_grad()
def test_decoding_in_steps_equals_the_full_pass(
    family: str, mode: str, implementation: str, make: Callable, subtests: pytest.Subtests
) -> None:
    for pad in [False, True]:
        for chunks in [(1,) * 9, (5, 1, 1, 1, 1), (4, 3, 2)]:
            with subtests.test(pad=pad, chunks=chunks):
                model = make(family, mode)
                model.set_attn_implementation(implementation)
                ids, mask = left_padded()
                if not pad:
                    mask = torch.ones_like(mask)
                full = model(ids, attention_mask=mask, use_cache=False).logits
                cache, start, parts = DynamicCache(config=model.config), 0, []
                for size in chunks:
                    seen = mask[:, : start + size] if pad else None
                    parts.append(model(ids[:, start : start + size], attention_mask=seen, cache=cache).logits)
                    start += size
                assert cache.get_seq_length() == 9
                torch.testing.assert_close(torch.cat(parts, 1)[mask.bool()], full[mask.bool()], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@torch.no_grad()
def test_decoding_past_a_sliding_window(mode: str, make: Callable) -> None:
    model = make("mistral", mode, sliding_window=4)
    ids, _ = left_padded()
    full = model(ids, use_cache=False).logits
    cache = DynamicCache(config=model.config)
    parts = [model(ids[:, :2], cache=cache).logits]
    parts += [model(ids[:, place : place + 1], cache=cache).logits for place in range(2, 9)]
    torch.testing.assert_close(torch.cat(parts, 1), full, atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("family", ["llama", "mistral", "qwen3"])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("beams", [1, 3])
def test_generate_with_and_without_cache_agree(family: str, mode: str, beams: int, make: Callable) -> None:
    model = make(family, mode)
    ids, mask = left_padded()
    settings = {"max_new_tokens": 8, "do_sample": False, "num_beams": beams, "attention_mask": mask}
    cached = model.generate(ids, **settings)
    assert cached.shape == (3, 17)
    assert torch.equal(cached, model.generate(ids, use_cache=False, **settings))


@torch.no_grad()
def test_only_routed_tokens_are_kept(make: Callable) -> None:
    model = make("llama")
    ids, mask = left_padded()
    chosen: list[Tensor] = []
    layer = model.model.layers[1].self_attn
    layer.router.register_forward_hook(lambda module, args, routing: chosen.append(routing.index.view(3, -1, 2)))
    cache = DynamicCache(config=model.config)
    for start, stop in ((0, 6), (6, 7), (7, 8), (8, 9)):
        model(ids[:, start:stop], attention_mask=mask[:, :stop], cache=cache)
    index = torch.cat(chosen, 1)
    for row, cells in enumerate(cache.layers[1].rows):
        for expert, cell in enumerate(cells):
            routed = (index[row] == expert).any(-1) & mask[row].bool()
            kept = torch.tensor([], dtype=torch.long) if cell is None else cell.slots
            assert kept.tolist() == routed.nonzero().flatten().tolist()
    assert sum(len(cell.slots) for cells in cache.layers[1].rows for cell in cells if cell) == 2 * int(mask.sum())


@torch.no_grad()
def test_cropped_repeated_and_selected_caches_go_on_as_they_should(make: Callable) -> None:
    model = make("llama")
    ids, _ = left_padded()
    cache = DynamicCache(config=model.config)
    model(ids, cache=cache)
    cache.crop(-4)
    assert cache.get_seq_length() == 5
    cache.batch_repeat_interleave(2)
    cache.batch_select_indices(torch.tensor([0, 3, 4]))
    cache.reorder_cache(torch.tensor([2, 0, 1, 1]))
    rows = ids[[2, 0, 1, 1]]
    after = model(rows[:, 5:], cache=cache).logits
    torch.testing.assert_close(after, model(rows, use_cache=False).logits[:, 5:], atol=1e-12, rtol=1e-12)


@torch.no_grad()
def test_reset_and_copied_caches(make: Callable) -> None:
    model = make("llama")
    ids, _ = left_padded()
    cache = DynamicCache()
    first = model(ids, cache=cache).logits
    copied = copy.deepcopy(cache)
    model(ids[:, :1], cache=cache)
    assert (cache.get_seq_length(), copied.get_seq_length()) == (10, 9)
    cache.reset()
    assert torch.equal(model(ids, cache=cache).logits, first)


def test_boolean_selection() -> None:
    layer = ExpertCacheLayer()
    layer.start(3, 1, experts=1)
    for row in range(3):
        layer.append(row, 0, Cell(torch.full((1, 1, 2), row), torch.zeros(1, 1, 2), torch.zeros(1, dtype=torch.long)))
    layer.batch_select_indices(torch.tensor([True, False, True]))
    assert [int(cells[0].keys[0, 0, 0]) for cells in layer.rows if cells[0]] == [0, 2]


@torch.no_grad()
def test_caches_of_another_kind_are_refused(make: Callable, build: Build) -> None:
    ids, _ = left_padded()
    for mode in MODES:
        model = make("llama", mode)
        with pytest.raises(ModelError, match="DynamicCache"):
            model.generate(ids, max_new_tokens=2, cache_implementation="static", disable_compile=True)
    model, dense = make("llama"), build("llama").double()
    filled = dense(ids, use_cache=True).cache
    with pytest.raises(ModelError, match="dense attention"):
        model(ids[:, :1], cache=filled)
    cache = model(ids, use_cache=True).cache
    with pytest.raises(ModelError, match="batch of 3, but the input has 2"):
        model(ids[:2, :1], cache=cache)
    with pytest.raises(ModelError, match="give a dense model a new one"):
        dense(ids[:, :1], cache=cache)
    with pytest.raises(ModelError, match="negative number"):
        cache.crop(2)
