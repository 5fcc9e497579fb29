"""What holds for every text family is checked in `tests/models/zoo/test_text.py`."""

import torch
from transformers import ModernBertConfig, ModernBertForMaskedLM

from sparsebench.models.anatomy import describe


def test_fused_matrices() -> None:
    """Rows of q, k and v one after the other; the half that is activated first."""
    sizes = {"hidden_size": 16, "intermediate_size": 22, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = ModernBertForMaskedLM(ModernBertConfig(**sizes, vocab_size=32, pad_token_id=0)).eval()
    anatomy = describe(model)
    block = anatomy.blocks[1]
    assert anatomy.head is not None and anatomy.head.path == "decoder"
    mlp, attention = block.mlp, block.attention
    assert attention is not None and attention.qkv is not None and attention.qkv.get().out_features == 48
    assert mlp is not None and mlp.gate_up is not None and mlp.down is not None and mlp.activation is not None
    assert (mlp.kind, mlp.width, mlp.hidden) == ("gated", 16, 22) and "causal" not in anatomy.traits
    x = torch.randn(3, 16)
    gate, up = mlp.gate_up.get()(x).chunk(2, dim=-1)
    torch.testing.assert_close(mlp.down.get()(mlp.activation(gate) * up), mlp.site.get()(x))
