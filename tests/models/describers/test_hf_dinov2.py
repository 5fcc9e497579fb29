import pytest
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
