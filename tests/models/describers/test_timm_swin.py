from timm.models.swin_transformer import SwinTransformer

from sparsebench.models.anatomy import describe


def test_stages_of_several_widths() -> None:
    model = SwinTransformer(
        img_size=16, patch_size=4, window_size=2, embed_dim=8, depths=(1, 2), num_heads=(2, 4), num_classes=3
    )
    anatomy = describe(model)
    assert [block.site.path for block in anatomy.blocks] == [
        "layers.0.blocks.0",
        "layers.1.blocks.0",
        "layers.1.blocks.1",
    ]
    assert [block.mlp.width for block in anatomy.blocks if block.mlp] == [8, 16, 16] and anatomy.width == 16
    assert all(block.attention.head_dim == 4 for block in anatomy.blocks if block.attention)
    assert anatomy.prefix_tokens is None
    assert anatomy.head is not None and anatomy.head.path == "head.fc"
    model.reset_classifier(0)
    assert describe(model).head is None
