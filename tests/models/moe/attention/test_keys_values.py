import torch
from torch import Tensor

from sparsebench.models.moe.attention.cache import ExpertCacheLayer
from sparsebench.models.moe.attention.keys_values import FullMemory, RoutedMemory
from sparsebench.models.moe.attention.token_groups import Layout


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layout(mask: Tensor | None) -> Layout:
    return Layout(torch.zeros(3, dtype=torch.long), 1, mask)


def test_routed_tokens_see_each_other_alone() -> None:
    keys, values = draw(2, 1, 4), draw(2, 1, 4, seed=1)
    seen = RoutedMemory(layout(None), None, 0).look(0, 1, torch.tensor([0, 2]), keys, values)
    assert torch.equal(seen.keys, keys.transpose(0, 1)) and torch.equal(seen.values, values.transpose(0, 1))
    assert seen.mask is None and seen.causal


def test_a_mask_is_read_at_the_slots_of_the_routed_tokens() -> None:
    mask_BSV = torch.arange(9).view(1, 3, 3) > 3
    seen = RoutedMemory(layout(mask_BSV), None, 0).look(0, 0, torch.tensor([0, 2]), draw(2, 1, 4), draw(2, 1, 4))
    assert seen.mask is not None and torch.equal(seen.mask, mask_BSV[0][[0, 2]][:, [0, 2]]) and not seen.causal


def test_the_cache_puts_earlier_tokens_before_the_new_ones() -> None:
    cache = ExpertCacheLayer()
    cache.start(1, 3, experts=2)
    first = RoutedMemory(layout(None), cache, 0).look(0, 1, torch.tensor([0, 2]), draw(2, 1, 4), draw(2, 1, 4))
    cache.start(1, 1, experts=2)
    new = draw(1, 1, 4, seed=3)
    later = RoutedMemory(layout(None), cache, 3).look(0, 1, torch.tensor([0]), new, new)
    assert torch.equal(later.keys, torch.cat((first.keys, new.transpose(0, 1)), dim=1)) and not later.causal
    cell = cache.rows[0][1]
    assert cell is not None and cell.slots.tolist() == [0, 2, 3] and cache.rows[0][0] is None


def test_all_tokens_of_the_row_are_seen_by_those_that_are_routed() -> None:
    keys, values = draw(2, 4, 3, 5), draw(2, 4, 3, 5, seed=1)  # two experts of two heads
    mask = torch.ones(2, 3, 3, dtype=torch.bool).tril()
    seen = FullMemory(layout(mask), keys, values, experts=2).look(1, 1, torch.tensor([0, 2]))
    assert torch.equal(seen.keys, keys[1, 2:]) and torch.equal(seen.values, values[1, 2:])
    assert seen.mask is not None and seen.mask.tolist() == [[True, False, False], [True, True, True]]
    assert not seen.causal
