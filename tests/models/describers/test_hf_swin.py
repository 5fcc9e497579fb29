import pytest
import transformers
from torch import nn

from sparsebench.models.anatomy import UnknownAnatomy, describe


def swin(kind: str = "SwinForImageClassification") -> nn.Module:
    config = transformers.SwinConfig(
        image_size=16, patch_size=4, embed_dim=8, depths=(1, 2), num_heads=(2, 4), window_size=2, num_labels=3
    )
    return getattr(transformers, kind)(config).eval()


def test_stages_of_several_widths() -> None:
    anatomy = describe(swin())
    assert [block.mlp.width for block in anatomy.blocks if block.mlp] == [8, 16, 16] and anatomy.width == 16
    assert [block.attention.num_heads for block in anatomy.blocks if block.attention] == [2, 4, 4]
    assert all(block.attention.head_dim == 4 for block in anatomy.blocks if block.attention)
    assert [block.index for block in anatomy.blocks] == [0, 1, 2]
    assert anatomy.head is not None and anatomy.head.path == "classifier"


def test_windows_are_no_plain_row_of_tokens() -> None:
    anatomy = describe(swin("SwinModel"))
    assert anatomy.prefix_tokens is None and anatomy.head is None
    assert all(not block.branches and block.attention and block.attention.prefixed is None for block in anatomy.blocks)


def test_a_part_of_it_is_not_known() -> None:
    with pytest.raises(UnknownAnatomy, match="no describer knows"):
        describe(swin("SwinModel").encoder)
