"""timm's own attention and ours on the same weights, with every option that it has."""

import pytest
import torch
from timm.layers.attention import Attention
from torch import nn

from sparsebench.models.attention.timm_attention import ProductTimmAttention

OPTIONS = {
    "plain": {},
    "bias": {"qkv_bias": True},
    "norms": {"qk_norm": True, "scale_norm": True, "norm_layer": nn.LayerNorm},
    "gate": {"gated": True, "attn_head_dim": 5},
}


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", OPTIONS)
def test_same_function_and_gradients(name: str, causal: bool) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        theirs = Attention(24, num_heads=4, **OPTIONS[name]).eval().double()
        x = torch.randn(2, 7, 24, dtype=torch.float64, requires_grad=True)
    expected = theirs(x, is_causal=causal)
    wanted = torch.autograd.grad(expected.square().sum(), [x, *theirs.parameters()])
    theirs.__class__ = ProductTimmAttention
    result = theirs(x, is_causal=causal)
    torch.testing.assert_close(result, expected)
    gradients = torch.autograd.grad(result.square().sum(), [x, *theirs.parameters()])
    for ours, reference in zip(gradients, wanted, strict=True):
        torch.testing.assert_close(ours, reference)


def test_dropout_only_in_training() -> None:
    module = Attention(24, num_heads=4, attn_drop=0.5)
    module.__class__ = ProductTimmAttention
    x = torch.ones(2, 7, 24)
    assert torch.equal(module.eval()(x), module(x))
    module.train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        assert not torch.equal(module(x), module(x))
