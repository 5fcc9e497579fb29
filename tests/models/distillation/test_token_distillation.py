"""GIST's loss against the formula of the release, and what the head says of the token."""

from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import nn

from sparsebench.models.adapters import GistTokenConfig, attach
from sparsebench.models.adapters.kinds.gist_token import leaving_tokens
from sparsebench.models.distillation import TokenDistillation, token_logits
from sparsebench.models.errors import ModelError


def test_the_term_is_both_divergences_at_three_quarters() -> None:
    generator = torch.Generator().manual_seed(0)
    z, g = torch.randn(2, 6, 4, generator=generator)
    there = F.kl_div(F.softmax(g / 3, dim=-1).log(), F.softmax(z / 3, dim=-1), reduction="batchmean")
    back = F.kl_div(F.softmax(z / 3, dim=-1).log(), F.softmax(g / 3, dim=-1), reduction="batchmean")
    loss = TokenDistillation()
    torch.testing.assert_close(loss.term(z, g), 0.75 * (there + back))
    torch.testing.assert_close(TokenDistillation(t2=True).term(z, g), 9 * loss.term(z, g))
    torch.testing.assert_close(loss.term(z, g), loss.term(g, z))
    assert loss.term(z, z).item() == pytest.approx(0, abs=1e-7)


def vit(**options: Any) -> Any:
    sizes: Any = {"img_size": 32, "embed_dim": 32, "depth": 2, "num_heads": 4, "num_classes": 3} | options
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return timm.create_model("vit_tiny_patch16_224", **sizes).eval()


@pytest.mark.parametrize("options", [{}, {"class_token": False, "global_pool": "avg"}])
def test_the_head_reads_the_token_after_the_final_norm(options: Any) -> None:
    """As the release does it, on a plain ViT: the token is put in by hand and read by hand."""
    model, plain = vit(**options).double(), vit(**options).double()
    adapters = attach(model, GistTokenConfig(seed=4))
    (token,) = [layer.token for _, layer in adapters.layers() if layer.token is not None]
    images = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    with leaving_tokens(model) as tokens:
        logits = model(images)
    x = plain._pos_embed(plain.patch_embed(images))
    start = plain.num_prefix_tokens
    x = torch.cat((x[:, :start], token.expand(2, -1, -1), x[:, start:]), dim=1)
    for block in plain.blocks:
        x = block(x)
    expected = plain.head(plain.fc_norm(plain.norm(x[:, start])))
    torch.testing.assert_close(token_logits(model, tokens), expected)
    rest = torch.cat((x[:, :start], x[:, start + 1 :]), dim=1)
    torch.testing.assert_close(logits, plain.forward_head(plain.norm(rest)))


def test_tokens_that_cannot_be_read() -> None:
    model = vit()
    attach(model, GistTokenConfig())
    with pytest.raises(ModelError, match="no one token of each example"):
        token_logits(model, [])
    with leaving_tokens(model) as tokens:
        model(torch.zeros(1, 3, 32, 32))
        model(torch.zeros(1, 3, 32, 32))
    with pytest.raises(ModelError, match="run the model once"):
        token_logits(model, tokens)
    with pytest.raises(ModelError, match="has no head"):
        token_logits(vit(num_classes=0), [torch.zeros(1, 1, 32)])
    with pytest.raises(ModelError, match="has no token of GIST"), leaving_tokens(nn.Linear(2, 2)):
        pass


@pytest.mark.parametrize("options", [{"weight": -1.0}, {"token_weight": float("inf")}, {"temperature": 0.0}])
def test_values_that_cannot_be(options: Any) -> None:
    with pytest.raises(ModelError, match=next(iter(options))):
        TokenDistillation(**options)
    with pytest.raises(ModelError, match="one column"):
        TokenDistillation().term(torch.zeros(2, 1), torch.zeros(2, 1))
