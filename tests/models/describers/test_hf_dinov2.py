import pytest
import torch
import transformers
from torch import nn

from sparsebench.models.anatomy import describe

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2, "patch_size": 8}


def dinov2(kind: str = "Dinov2Model", **options: object) -> nn.Module:
    stem = kind.removesuffix("Model").removesuffix("ForImageClassification")
    config = getattr(transformers, f"{stem}Config")(**(SIZES | {"image_size": 16} | options))
    return getattr(transformers, kind)(config).eval()


@pytest.mark.parametrize(
    ("kind", "prefix"), [("Dinov2Model", 1), ("Dinov2WithRegistersModel", 5), ("Dinov2ForImageClassification", 1)]
)
def test_tokens_before_the_patches_and_their_grid(kind: str, prefix: int) -> None:
    anatomy = describe(dinov2(kind, image_size=(16, 40)))
    assert (anatomy.prefix_tokens, anatomy.grid) == (prefix, (2, 5))
    assert (anatomy.head is None) == kind.endswith("Model")


def test_a_gated_ffn() -> None:
    mlp = describe(dinov2(use_swiglu_ffn=True)).blocks[0].mlp
    assert mlp is not None and mlp.gate is not None and mlp.up is not None and mlp.down is not None
    assert mlp.kind == "gated" and mlp.activation is not None
    x = torch.randn(2, 3, mlp.width)
    hidden = mlp.activation(mlp.gate.get()(x)) * mlp.up.get()(x)
    torch.testing.assert_close(mlp.down.get()(hidden), mlp.site.get()(x))


def test_both_branches_have_their_scale_and_the_drop_path_in_common() -> None:
    model = dinov2()
    layer = model.encoder.layer[0]
    x = torch.randn(2, 5, 16)
    with torch.no_grad():
        expected = layer(x)
        for branch in describe(model).blocks[0].branches:
            out = x
            for site in branch:
                out = site.get()(out)
                out = out[0] if isinstance(out, tuple) else out
            x = x + out
    torch.testing.assert_close(x, expected)
