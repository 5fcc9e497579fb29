"""The two parts of a block, as the view sees them: feed-forward and attention."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol, runtime_checkable

from torch import Tensor, nn

from .experts import Experts
from .sites import Site


@dataclass(eq=False, kw_only=True)
class MLP:
    """Feed-forward part of a block.

    Attributes:
        site: where its input enters.
        output: where its result leaves, before the residual sum; another site than `site` only when the FFN is spread
            over several modules.
        kind: "removed" is what `Block.remove_mlp` leaves, which `describe` drops from the view.
        width: D, numbers of an input.
        hidden: F, neurons; of a mixture those of an expert.
        gate: of a gated FFN, with `up`.
        up: the projection of a gated or plain FFN.
        gate_up: both as one fused matrix, whose rows are those of the gate, then those of up.
        down: the projection back to the width.
        activation: what acts on the gate, or on up where there is none.
        experts: the routed experts of a mixture.
        between: an activation that the block calls between `site` and `tail` (OPT).
        tail: the last module of an FFN that is spread over several (BERT, OPT).
        add_norm: the module that holds the tail, called as add_norm(hidden, input), which adds the input and normalises
            (BERT).
        returns_tuple: the module at `site` returns the result and something else, as a tuple (GPT-OSS).
    """

    site: Site
    output: Site
    kind: Literal["gated", "plain", "conv", "moe", "removed"]
    width: int
    hidden: int
    gate: Site | None = None
    up: Site | None = None
    gate_up: Site | None = None
    down: Site | None = None
    activation: Callable[[Tensor], Tensor] | None = None
    experts: Experts | None = None
    between: Site | None = None
    tail: Site | None = None
    add_norm: Site | None = None
    returns_tuple: bool = False

    @property
    def linears(self) -> tuple[Site, ...]:
        """The linear sites that exist, in the order gate, up, gate_up, down."""
        return tuple(site for site in (self.gate, self.up, self.gate_up, self.down) if site is not None)

    @property
    def parts(self) -> tuple[Site, ...]:
        """The sites that `replace` fills, in the order of the calls: `site`, `between`, `tail`."""
        return tuple(site for site in (self.site, self.between, self.tail) if site is not None)

    def replace(self, *modules: nn.Module) -> None:
        """Put a module that maps input to result in the place of the FFN; identities fill what is left.

        Args:
            modules: one module, or one for each of `parts`.

        Example: `mlp.replace(layer)`; back again: `mlp.replace(*old)` with `old = [site.get() for site in mlp.parts]`.
        """
        for place, site in enumerate(self.parts):
            module = nn.Identity()
            if place < len(modules):
                module = modules[place]
            site.replace(module)


Prefixed = Callable[..., Any]
"""prefixed(attention, keys, values, *args, **keywords): call a module in the place of an attention as
attention(*args, **keywords), with further keys and values, both (key/value heads, n, head_dim), seen by all queries."""


CACHE_NAMES = ("cache", "past_key_values", "layer_past")
"""Keywords under which attentions of transformers take their cache of keys and values."""


@dataclass(eq=False, kw_only=True)
class Attention:
    """Attention of a block: either separate q, k, v sites or one fused qkv site (rows q, then k, then v), and o.

    A mixture of attention experts has none of these sites.

    Attributes:
        site: the whole attention.
        num_heads: heads of queries.
        num_kv_heads: heads of keys and values.
        head_dim: numbers of a head.
        o: the output projection.
        q: projection of the queries.
        k: projection of the keys.
        v: projection of the values.
        qkv: the three as one matrix.
        interleaved: the rows of qkv lie head by head instead, q, k, v of each (GPT-NeoX).
        latent: the linear layers of low-rank products that make what is missing of q, k and v (DeepSeek).
        fused: parameters with the projections of all attention experts, which no linear layer holds (MoLM).
        prefixed: computes the attention with a prefix of keys and values; None where nothing knows how to do that.
        returns_tuple: the module at `site` returns its output and something else (transformers).
        adds_input: it adds its input and normalises the sum by itself (BERT).
        causal: a token sees none after it.
        removable: the other blocks run without it (not so in T5, where the first one computes the position biases of
            all).
        removed: only a stand-in is there, which `describe` drops from the view.
    """

    site: Site
    num_heads: int
    num_kv_heads: int
    head_dim: int
    o: Site | None = None
    q: Site | None = None
    k: Site | None = None
    v: Site | None = None
    qkv: Site | None = None
    interleaved: bool = False
    latent: tuple[Site, ...] = ()
    fused: tuple[Site, ...] = ()
    prefixed: Prefixed | None = None
    returns_tuple: bool = True
    adds_input: bool = False
    causal: bool = False
    removable: bool = True
    removed: bool = False

    @property
    def linears(self) -> tuple[Site, ...]:
        """The linear sites that exist, in the order q, k, v, qkv, latent, o."""
        return tuple(site for site in (self.q, self.k, self.v, self.qkv, *self.latent, self.o) if site is not None)


@runtime_checkable
class DescribesMLP(Protocol):
    """A module that stands in the place of an FFN and describes itself (our own MoE layer does)."""

    def describe_mlp(self, site: Site, output: Site, tail: Site | None) -> MLP:
        """The view of this module."""
        ...


@runtime_checkable
class DescribesAttention(Protocol):
    """A module that stands in the place of an attention and describes itself (our attention experts do)."""

    def describe_attention(self, site: Site) -> Attention:
        """The view of this module."""
        ...
