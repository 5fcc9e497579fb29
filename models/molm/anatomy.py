"""What transforms see of a MoLM: two mixtures a block; that of the attention has no linear layers but k and v."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..anatomy import (
    MLP,
    Anatomy,
    Attention,
    Block,
    DescribesAttention,
    DescribesMLP,
    Site,
    StackedExperts,
    see_through,
)
from ..anatomy.building import block_at
from ..moe.experts import ExpertBank
from ..moe.experts.view import banked, banked_mlp

NORMS = ("input_layernorm", "post_attention_layernorm")


def describe(model: Any) -> Anatomy:
    """The anatomy."""
    blocks: list[Block] = []
    for index in range(len(model.layers)):
        site = see_through(model.layers, str(index))
        layer = site.get()
        norms = tuple(name for name in NORMS if hasattr(layer, name))
        blocks.append(block_at(site, index, _attention(layer), _mlp(layer), norms))
    return Anatomy(
        model=model,
        blocks=tuple(blocks),
        width=model.config.hidden_size,
        embeddings=(see_through(model, "embed_tokens"),),
        final_norm=see_through(model, "norm"),
        head=see_through(model, "lm_head"),
    )


def _attention(layer: Any) -> Attention:
    site = see_through(layer, "self_attn")
    module = site.get()
    if isinstance(module, DescribesAttention):
        return module.describe_attention(site)
    k, v = (see_through(module, name) if module.projects else None for name in ("k_proj", "v_proj"))
    return Attention(
        site=site,
        num_heads=module.heads,
        num_kv_heads=module.heads,
        head_dim=module.query.shape[1] // module.heads,
        k=k,
        v=v,
        fused=(Site(module, "query"), Site(module, "out")),
        causal=True,
    )


def _mlp(layer: Any) -> MLP:
    site = see_through(layer, "mlp")
    module = site.get()
    if isinstance(module, DescribesMLP):
        return module.describe_mlp(site, site, None)
    common = banked(module)
    bank = common["bank"]
    gate_up, down = Site(bank, "gate_up"), Site(bank, "down")
    experts = UpDownExperts(**common, tensors=(gate_up, down), gate_up=gate_up, down=down, gated=False)
    return banked_mlp(bank, experts, site, site, returns_tuple=True)


@dataclass(eq=False, kw_only=True)
class UpDownExperts(StackedExperts):
    """Experts without a gate in a bank of ours, which knows their sizes."""

    bank: ExpertBank

    def keep(self, indices: Sequence[int]) -> None:
        """Keep these experts; the bank follows."""
        super().keep(indices)
        if self.table is None:  # else it was `keep_tensors` that kept them
            self._keep_sizes(indices)

    def keep_tensors(self, indices: Sequence[int]) -> None:
        """Keep the weights of these experts; the bank follows."""
        super().keep_tensors(indices)
        self._keep_sizes(indices)

    def _keep_sizes(self, indices: Sequence[int]) -> None:
        self.bank.sizes = tuple(self.bank.sizes[index] for index in indices)

    def _narrow(self, kept: Sequence[Tensor]) -> None:
        self.bank.keep_neurons(kept)
