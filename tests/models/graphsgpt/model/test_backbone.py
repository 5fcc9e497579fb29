"""Layers by their formulas, and weights that follow the seed alone."""

import pytest
import torch
from torch import nn

from sparsebench.models.graphsgpt.model.backbone import Layer

from ..model_cases import small


def test_weights_follow_the_seed_alone() -> None:
    torch.manual_seed(0)
    first = small()
    torch.manual_seed(1)
    again, other = small(), small(seed=1)
    for name, weight in first.state_dict().items():
        assert torch.equal(weight, again.state_dict()[name])
        constant = "norm" in name or name.endswith("bias")
        assert constant or not torch.equal(weight, other.state_dict()[name])
    halves = (first.encoder.layers[0].mlp.up_proj.weight, first.decoder.layers[0].mlp.up_proj.weight)
    assert not torch.equal(*halves)
    assert halves[0].std().item() == pytest.approx(first.config.initializer_range, rel=0.1)


@torch.no_grad()
def test_a_layer_by_its_formula() -> None:
    layer = small().encoder.layers[0]
    assert isinstance(layer, Layer)
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(0))
    see = torch.tensor([[True] * 5, [True, True, True, False, False]])
    attention = layer.self_attn
    normed = layer.input_layernorm(x)
    heads = []
    for head in range(4):
        part = slice(8 * head, 8 * head + 8)
        q, k, v = (linear(normed)[..., part] for linear in (attention.q_proj, attention.k_proj, attention.v_proj))
        scores = (q @ k.transpose(1, 2) / 8**0.5).masked_fill(~see.unsqueeze(1), -torch.inf)
        heads.append(scores.softmax(-1) @ v)
    attended = x + attention.o_proj(torch.cat(heads, dim=-1))
    normed = layer.post_attention_layernorm(attended)
    expected = attended + layer.mlp.down_proj(nn.functional.silu(layer.mlp.up_proj(normed)))
    torch.testing.assert_close(layer(x, see[:, None, None]), expected, atol=1e-5, rtol=1e-4)


def test_conditioning_starts_from_zero() -> None:
    chain = small(autoregressive_heads=True).heads.chain
    assert not chain.at_begin.down.weight.any() and not chain.at_end.down.weight.any()
    assert chain.at_begin.up.weight.any() and not chain.at_begin.up.bias.any()
