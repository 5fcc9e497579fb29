"""What the anatomy says of GraphsGPT and its halves, and the transforms that stand on it."""

import pytest
import torch

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.moe import MoEConfig, convert

from ..model_cases import batch, small


@pytest.mark.parametrize(("which", "blocks"), [("whole", 4), ("encoder", 2), ("decoder", 2)])
def test_anatomy(which: str, blocks: int) -> None:
    whole = small()
    model = whole if which == "whole" else getattr(whole, which)
    anatomy = describe(model)
    assert [block.index for block in anatomy.blocks] == list(range(blocks)) and anatomy.width == 32
    for block in anatomy.blocks:
        attention, mlp = block.attention, block.mlp
        assert attention is not None and mlp is not None and mlp.up is not None and mlp.down is not None
        assert mlp.kind == "plain" and (mlp.width, mlp.hidden) == (32, 48) and mlp.activation is not None
        assert (attention.num_heads, attention.head_dim, len(attention.linears)) == (4, 8, 4)
        x = torch.randn(3, 32, generator=torch.Generator().manual_seed(0))
        ours = mlp.down.get()(mlp.activation(mlp.up.get()(x)))
        torch.testing.assert_close(mlp.site.get()(x), ours)
        assert len(block.norms) == 2 and len(block.linears) == 6
    for site in anatomy.sites():
        assert model.get_submodule(site.path) is site.get()
    assert (anatomy.head is not None) == (which == "whole")
    norm = anatomy.final_norm
    assert norm is not None and norm.get() is (whole.encoder if which == "encoder" else whole.decoder).norm


@torch.no_grad()
def test_all_experts_at_once_are_the_dense_ffn() -> None:
    model, tokens = small(), batch()
    before = model(tokens)
    convert(model, MoEConfig(num_experts=4, top_k=4, score="none"))
    assert [type(layer.mlp).__name__ for layer in [*model.encoder.layers, *model.decoder.layers]] == ["MoEFFN"] * 4
    after = model(tokens)
    torch.testing.assert_close(after.words, before.words, atol=1e-5, rtol=0)
    torch.testing.assert_close(after.loss, before.loss)


def test_calibrated_mixtures() -> None:
    model, tokens = small(), batch()
    convert(model, MoEConfig(num_experts=4, top_k=2, split="coact", router_init="energy"), [tokens])
    assert torch.isfinite(model(tokens).loss)


def test_lora_attaches_and_leaves_the_start_as_it_was() -> None:
    model, tokens = small(), batch()
    before = model(tokens).loss
    adapters = attach(model, LoRAConfig(r=2, targets=("q", "v", "up")))
    assert len(list(adapters.layers())) == 3 * 4
    out = model(tokens)
    torch.testing.assert_close(out.loss, before)
    out.loss.backward()
    assert model.encoder.layers[0].mlp.up_proj.base_layer.weight.grad is None
