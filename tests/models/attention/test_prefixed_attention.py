"""Pieces of attention with a prefix; whole models with prefixes are in adapters/kinds/test_prefix.py."""

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import Wrapper
from sparsebench.models.attention.prefixed_attention import Prepended, extended_mask, joined, through_cache, unwrapped
from sparsebench.models.errors import ModelError

KEYS = torch.arange(2 * 3 * 4.0).view(2, 3, 4)  # 2 heads, 3 further keys, size 4
VALUES = -KEYS


class Cache:
    """Keeps what it gets, as the caches of transformers do."""

    def __init__(self) -> None:
        self.keys = torch.zeros(1, 2, 0, 4)
        self.values = torch.zeros(1, 2, 0, 4)

    def update(self, keys: Tensor, values: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        assert layer == 5
        self.keys = torch.cat((self.keys, keys), dim=2)
        self.values = torch.cat((self.values, values), dim=2)
        return self.keys, self.values


class Recorder(nn.Module):
    """An attention that tells what it is called with."""

    def forward(self, **keywords: object) -> dict[str, object]:
        return keywords


def test_a_prefix_comes_before_every_row_in_the_dtype_of_the_states() -> None:
    states = torch.ones(5, 2, 6, 4, dtype=torch.bfloat16)
    found = joined(KEYS, states)
    assert found.shape == (5, 2, 9, 4) and found.dtype == torch.bfloat16
    assert torch.equal(found[3, :, :3].float(), KEYS) and torch.equal(found[:, :, 3:], states)


@pytest.mark.parametrize("square", [False, True])
def test_the_cache_never_holds_the_prefix(square: bool) -> None:
    cache = Cache()
    prepended = Prepended(cache, KEYS, VALUES, square=square)
    first, second = torch.full((1, 2, 2, 4), 7.0), torch.full((1, 2, 1, 4), 8.0)
    prepended.update(first, -first, 5)
    keys, values = prepended.update(second, -second, 5)
    seen = cache.keys[:, :, :1] if square else cache.keys
    assert torch.equal(keys, joined(KEYS, seen)) and torch.equal(values, joined(VALUES, -seen))
    assert cache.keys.shape[2] == 3


def test_without_a_cache() -> None:
    states = torch.ones(2, 2, 3, 4)
    keys, values = Prepended(None, KEYS, VALUES, square=True).update(states, -states)
    assert torch.equal(keys, joined(KEYS, states)) and torch.equal(values, joined(VALUES, -states))


def test_masks() -> None:
    x = torch.ones(2, 4, 8)
    assert extended_mask(None, x, 3, causal=False) is None
    assert extended_mask(None, x[:, :1], 3, causal=True) is None, "one query sees all"
    causal = extended_mask(None, x, 3, causal=True)
    assert causal is not None and causal.shape == (1, 1, 4, 7) and causal[..., :3].all()
    assert torch.equal(causal[0, 0, :, 3:], torch.ones(4, 4, dtype=torch.bool).tril())
    boolean = extended_mask(torch.zeros(2, 1, 4, 4, dtype=torch.bool), x, 1, causal=True)
    assert boolean is not None and boolean[..., :1].all() and not boolean[..., 1:].any()
    additive = extended_mask(torch.full((2, 1, 4, 4), -1e9), x, 1, causal=True)
    assert additive is not None and not additive[..., :1].any() and (additive[..., 1:] == -1e9).all()


@pytest.mark.parametrize("name", ["cache", "past_key_values"])
def test_a_cache_keeps_its_name(name: str) -> None:
    x, cache = torch.ones(2, 4, 8), Cache()
    seen = through_cache(Recorder(), KEYS, VALUES, x, None, causal=True, **{name: cache, "position": 1})
    assert set(seen) == {"hidden_states", "attention_mask", name, "position"}
    prepended = seen[name]
    assert isinstance(prepended, Prepended) and prepended.cache is cache and prepended.square
    assert seen["attention_mask"].shape == (1, 1, 4, 7)


def test_masks_that_are_no_tensors_of_four_dimensions_are_refused() -> None:
    with pytest.raises(ModelError, match="'sdpa' or 'eager'"):
        through_cache(Recorder(), KEYS, VALUES, torch.ones(2, 4, 8), torch.ones(2, 4), causal=True)


def test_nothing_may_lie_between_a_prefix_and_its_attention() -> None:
    module = nn.Linear(2, 2)
    assert unwrapped(module) is module
    with pytest.raises(ModelError, match="a Wrapper lies between a prefix and its attention"):
        unwrapped(Wrapper(module))
