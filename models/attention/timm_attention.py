"""timm's attention with `attention` of this package in the place of torch's. Imports timm: import it where needed."""

from torch import Tensor

from ..errors import optional
from .attention_product import attention

with optional():
    from timm.layers.attention import Attention


# Shapes: B images, T tokens, H heads, E size of a head, D = H E.


class ProductTimmAttention(Attention):
    """The same module, parameters and names; an `Attention` becomes one by a change of its class."""

    def forward(self, x: Tensor, attn_mask: Tensor | None = None, is_causal: bool = False) -> Tensor:
        """Map (batch, tokens, width) to the same shape."""
        qkv_BT3HE = self.qkv(x).unflatten(-1, (3, self.num_heads, self.head_dim))
        q_BHTE, k_BHTE, v_BHTE = qkv_BT3HE.permute(2, 0, 3, 1, 4).unbind(0)
        q_BHTE = self.q_norm(q_BHTE)
        k_BHTE = self.k_norm(k_BHTE)
        dropout = self.attn_drop.p if self.training else 0.0
        seen_BHTE = attention(q_BHTE, k_BHTE, v_BHTE, attn_mask, dropout=dropout, causal=is_causal, scale=self.scale)
        seen_BTD = self.norm(seen_BHTE.transpose(1, 2).flatten(2))
        gate = getattr(self, "gate", None)  # older timm has none
        if gate is not None:
            seen_BTD = seen_BTD * gate(x).sigmoid()
        return self.proj_drop(self.proj(seen_BTD))
