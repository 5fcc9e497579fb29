import torch
from torch import nn
from transformers import DynamicCache

from sparsebench.models.anatomy import DescribesAttention, DescribesMLP
from sparsebench.models.anatomy.removed import RemovedAttention, RemovedMLP, layer_idx_of


def test_what_stands_in_gives_zero_or_the_input() -> None:
    x = torch.randn(2, 3, 4)
    assert torch.equal(RemovedMLP()(x), torch.zeros_like(x))
    assert torch.equal(RemovedMLP(returns_tuple=True)(x)[0], torch.zeros_like(x))
    kept = RemovedAttention(adds_input=True, returns_tuple=True, layer_idx=None)(hidden_states=x, anything=1)
    assert torch.equal(kept[0], x) and kept[1] is None
    gone = RemovedAttention(adds_input=False, returns_tuple=False, layer_idx=None)(x)
    assert torch.equal(gone, torch.zeros_like(x))
    assert isinstance(RemovedMLP(), DescribesMLP) and isinstance(
        RemovedAttention(adds_input=True, returns_tuple=True, layer_idx=0), DescribesAttention
    )


def test_a_cache_counts_tokens() -> None:
    cache = DynamicCache()
    stand_in = RemovedAttention(adds_input=False, returns_tuple=True, layer_idx=0)
    for tokens in (5, 1):
        stand_in(torch.randn(2, tokens, 4), cache=cache)
    assert cache.get_seq_length(0) == 6 and cache.layers[0].keys.numel() == 2 * 6


def test_the_index_in_a_cache() -> None:
    module = nn.Module()
    module.inner = nn.Linear(1, 1)
    assert layer_idx_of(module) is None
    module.inner.layer_idx = 7
    assert layer_idx_of(module) == 7
