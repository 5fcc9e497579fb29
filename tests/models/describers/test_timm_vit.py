from collections.abc import Callable

import pytest
import timm
import torch
from timm.models.vision_transformer import ParallelScalingBlock, ResPostBlock
from torch import nn

from sparsebench.models.anatomy import UnknownAnatomy, describe

Build = Callable[[str], nn.Module]
SMALL = {"img_size": 32, "embed_dim": 32, "depth": 1, "num_heads": 4, "num_classes": 3}


def small(**options: object) -> nn.Module:
    return timm.create_model("vit_tiny_patch16_224", **(SMALL | options)).eval()


def test_a_fused_projection(build: Build) -> None:
    attention = describe(build("timm_vit")).blocks[0].attention
    assert attention is not None and attention.q is None and attention.qkv is not None
    assert attention.qkv.get().out_features == 3 * attention.num_heads * attention.head_dim


@pytest.mark.parametrize(("options", "count"), [({}, 1), ({"reg_tokens": 2}, 3)])
def test_tokens_before_the_patches(options: dict, count: int) -> None:
    assert describe(small(**options)).prefix_tokens == count


def test_a_block_that_is_not_known_as_a_sum_has_no_branches() -> None:
    assert describe(small(block_fn=ResPostBlock)).blocks[0].branches == ()
    assert len(describe(small()).blocks[0].branches) == 2


def test_a_feature_extractor_has_no_head() -> None:
    assert describe(small(num_classes=0)).head is None


@pytest.mark.parametrize(("pool", "norm"), [("token", "norm"), ("avg", "fc_norm")])
def test_the_norm_that_features_pass_last(pool: str, norm: str) -> None:
    found = describe(small(global_pool=pool)).final_norm
    assert found is not None and found.path == norm


def test_a_gated_ffn() -> None:
    model = timm.create_model("vit_small_patch14_reg4_dinov2", img_size=28, depth=1, mlp_layer=timm.layers.SwiGLU)
    mlp = describe(model.eval()).blocks[0].mlp
    assert mlp is not None and mlp.gate is not None and mlp.up is not None and mlp.down is not None
    assert mlp.kind == "gated" and mlp.activation is not None
    x = torch.randn(2, 3, mlp.width)
    hidden = mlp.activation(mlp.gate.get()(x)) * mlp.up.get()(x)
    torch.testing.assert_close(mlp.down.get()(hidden), mlp.site.get()(x))


def test_both_heads_of_a_distilled_deit() -> None:
    model = timm.create_model("deit_tiny_distilled_patch16_224", **SMALL)
    anatomy = describe(model.eval())
    assert [site.path for site in anatomy.heads] == ["head", "head_dist"] and anatomy.prefix_tokens == 2
    assert "dist_token" in [site.path for site in anatomy.embeddings]
    model.reset_classifier(0)
    assert describe(model).heads == ()


def test_attentions_and_ffns_side_by_side() -> None:
    """Two of each per block: two blocks of the view, in one place."""
    model = timm.create_model("vit_small_patch16_18x2_224", **(SMALL | {"depth": 2}))
    blocks = describe(model.eval()).blocks
    assert [block.site.path for block in blocks] == ["blocks.0", "blocks.0", "blocks.1", "blocks.1"]
    assert [block.index for block in blocks] == [0, 1, 2, 3]
    paths = [block.attention.site.path for block in blocks if block.attention]
    assert paths[:2] == ["blocks.0.attns.0.attn", "blocks.0.attns.1.attn"]
    assert not any(block.branches or block.removable for block in blocks)


def test_one_matrix_for_attention_and_ffn() -> None:
    block = describe(small(block_fn=ParallelScalingBlock)).blocks[0]
    assert block.attention is None and block.mlp is None
    assert [site.name for site in block.linears] == ["in_proj", "attn_out_proj", "mlp_out_proj"]
    assert [site.name for site in block.norms] == ["in_norm"]


def test_differential_attention_has_whole_heads_in_the_view() -> None:
    attention = describe(small(attn_layer="diff")).blocks[0].attention
    assert attention is not None and attention.qkv is not None
    assert attention.qkv.get().out_features == 3 * attention.num_heads * attention.head_dim


def test_ffns_that_are_not_known() -> None:
    with pytest.raises(UnknownAnatomy, match="its gate comes last"):
        describe(small(mlp_layer=timm.layers.GluMlp))
    with torch.device("meta"), pytest.raises(UnknownAnatomy, match=r"GeGluMlp of this model.*register a describer"):
        describe(timm.create_model("vitamin_small_224"))
