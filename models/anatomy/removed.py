"""What stands in the place of a removed attention or FFN."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from .parts import CACHE_NAMES, MLP, Attention
from .sites import Site


class RemovedMLP(nn.Module):
    """Stands where an FFN was: gives 0, so that the residual sum leaves its input as it is."""

    def __init__(self, *, returns_tuple: bool = False) -> None:
        super().__init__()
        self.returns_tuple = returns_tuple

    def forward(self, x: Tensor, *args: Any, **keywords: Any) -> Any:
        """Zeros in the shape of x."""
        zeros = x.new_zeros(x.shape)
        return (zeros, None) if self.returns_tuple else zeros

    def describe_mlp(self, site: Site, output: Site, tail: Site | None) -> MLP:
        """A view that `describe` drops."""
        return MLP(site=site, output=output, tail=tail, kind="removed", width=0, hidden=0)


class RemovedAttention(nn.Module):
    """Stands where an attention was: gives 0, or its input where the attention added that by itself (`adds_input`).

    It leaves one number for each token in a cache, so that this counts tokens as before.
    """

    def __init__(self, *, adds_input: bool, returns_tuple: bool, layer_idx: int | None) -> None:
        super().__init__()
        self.adds_input = adds_input
        self.returns_tuple = returns_tuple
        self.layer_idx = layer_idx

    def forward(self, hidden_states: Tensor, *args: Any, **keywords: Any) -> Any:
        """What is left of the attention, in the form that the block expects."""
        found = [keywords[name] for name in CACHE_NAMES if keywords.get(name) is not None]
        cache = found[0] if found else None
        if cache is not None and self.layer_idx is not None:
            own = getattr(cache, "self_attention_cache", cache)
            marks = hidden_states.new_zeros(*hidden_states.shape[:2], 1).unsqueeze(1)
            own.update(marks, marks, self.layer_idx)
        out = hidden_states if self.adds_input else hidden_states.new_zeros(hidden_states.shape)
        return (out, None) if self.returns_tuple else out

    def describe_attention(self, site: Site) -> Attention:
        """A view that `describe` drops."""
        return Attention(site=site, num_heads=0, num_kv_heads=0, head_dim=0, removed=True)


def layer_idx_of(module: nn.Module) -> int | None:
    """The index under which an attention keeps its keys and values in a cache; None where it has none."""
    for inner in module.modules():
        found = getattr(inner, "layer_idx", None)
        if isinstance(found, int):
            return found
    return None
