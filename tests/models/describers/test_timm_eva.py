from timm.models.eva import Eva

from sparsebench.models.anatomy import describe

SMALL = {"img_size": 32, "patch_size": 16, "embed_dim": 16, "depth": 1, "num_heads": 2, "num_classes": 3}


def eva(**options: object) -> Eva:
    return Eva(**(SMALL | options)).eval()


def test_one_matrix_or_three() -> None:
    fused = describe(eva()).blocks[0].attention
    parted = describe(eva(qkv_fused=False)).blocks[0].attention
    assert fused is not None and parted is not None and fused.q is None and parted.qkv is None
    assert [site.name for site in parted.linears] == ["q_proj", "k_proj", "v_proj", "proj"]


def test_fewer_heads_of_keys_and_values() -> None:
    attention = describe(eva(attn_type="rope", qkv_fused=False, num_kv_heads=1)).blocks[0].attention
    assert attention is not None and (attention.num_heads, attention.num_kv_heads) == (2, 1)


def test_a_matrix_that_is_read_and_not_called() -> None:
    model = eva()
    assert [site.path for site in describe(model).uncalled] == ["blocks.0.attn.qkv"]
    model.blocks[0].attn.qkv_bias_separate = True
    assert describe(model).uncalled == ()
    for called in ({"qkv_bias": False}, {"qkv_fused": False}, {"attn_type": "rope"}):
        assert describe(eva(**called)).uncalled == ()


def test_rotary_positions_leave_no_place_for_further_tokens() -> None:
    assert describe(eva()).further_tokens
    assert not describe(eva(use_rot_pos_emb=True)).further_tokens


def test_the_norm_that_features_pass_last() -> None:
    for pool, norm in (("avg", "fc_norm"), ("token", "norm")):
        found = describe(eva(global_pool=pool)).final_norm
        assert found is not None and found.path == norm
    assert describe(eva(num_classes=0)).head is None


def test_scales_of_channels_are_not_in_the_branches() -> None:
    assert len(describe(eva()).blocks[0].branches) == 2
    assert describe(eva(init_values=0.1)).blocks[0].branches == ()
    assert describe(eva(use_post_norm=True)).blocks[0].branches == ()
