"""timm's attention with `attention` of this package in the place of torch's. Imports timm: import it where needed."""

from timm.layers.attention import Attention
from torch import Tensor

from .attention_product import attention


class ProductTimmAttention(Attention):
    """The same module, parameters and names; an `Attention` becomes one by a change of its class."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Map (batch, tokens, width) to the same shape."""
        gate = None if self.gate is None else self.gate(x).sigmoid()
        q, k, v = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dim)).permute(2, 0, 3, 1, 4).unbind(0)
        dropout = self.attn_drop.p if self.training else 0.0
        q, k = self.q_norm(q), self.k_norm(k)
        seen = attention(q, k, v, attn_mask, dropout=dropout, causal=is_causal, scale=self.scale)
        seen = self.norm(seen.transpose(1, 2).flatten(2))
        return self.proj_drop(self.proj(seen if gate is None else seen * gate))
