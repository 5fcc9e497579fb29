"""What adapters of other families must know of Graph2Seq: prefixes, and a linear layer that is never called."""

import torch
from torch import nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.kinds.prefix import PrefixConfig, PrefixLayer
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.anatomy import describe, is_linear

from .model_cases import batch, small


@torch.no_grad()
def test_a_prefix_is_seen_by_every_query_beside_what_the_mask_shows() -> None:
    encoder = small().encoder
    attention = encoder.layers[0].self_attn
    attach(encoder, PrefixConfig(length=3))
    layer = encoder.layers[0].self_attn
    assert isinstance(layer, PrefixLayer)
    for parameter in layer.prefix.parameters():
        parameter.normal_(generator=torch.Generator().manual_seed(0))
    x = torch.randn(2, 5, 32, generator=torch.Generator().manual_seed(1))
    see = torch.tensor([[True] * 5, [True, True, True, False, False]])[:, None, None]
    keys, values = layer.prefix()
    q, k, v = (p(x).view(2, 5, 4, 8).transpose(1, 2) for p in (attention.q_proj, attention.k_proj, attention.v_proj))
    k, v = (torch.cat([p.expand(2, -1, -1, -1), own], dim=2) for p, own in ((keys, k), (values, v)))
    scores = q @ k.transpose(2, 3) / 8**0.5
    scores[1, :, :, 3 + 3 :] = -torch.inf
    expected = attention.o_proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(2, 5, 32))
    assert torch.allclose(layer(x, see), expected, atol=1e-5)
    assert not torch.allclose(expected, attention(x, see), atol=1e-2)


def test_words_with_a_prefix_do_not_depend_on_padding() -> None:
    encoder = small().encoder
    attach(encoder, PrefixConfig(length=3))
    alone, together = encoder(batch(["CCO"])), encoder(batch(["CCO", "COc1ccccc1OC(=O)Oc1ccccc1OC"]))
    assert torch.allclose(alone[0], together[0], atol=1e-5)


def test_every_scale_of_ssf_gets_a_gradient() -> None:
    encoder = small().encoder
    attach(encoder, SSFConfig())
    encoder(batch()).square().sum().backward()
    trained = [parameter for parameter in encoder.parameters() if parameter.requires_grad]
    assert trained and all(parameter.grad is not None for parameter in trained)


def test_the_projection_of_pairs_is_a_linear_layer_without_a_place_for_adapters() -> None:
    projection = small().encoder.embed.positions.projection
    assert isinstance(projection, nn.Linear) and not is_linear(projection)
    assert describe(small()).blocks[0].attention is not None
