from collections.abc import Callable

import pytest
import torch
import transformers
from torch import nn

from sparsebench.models.anatomy import describe

Build = Callable[[str], nn.Module]


def test_separate_projections_and_one_class_token(build: Build) -> None:
    anatomy = describe(build("vit"))
    attention = anatomy.blocks[0].attention
    assert attention is not None and attention.qkv is None
    assert [site.path.rpartition(".")[2] for site in attention.linears] == ["q_proj", "k_proj", "v_proj", "o_proj"]
    assert anatomy.prefix_tokens == 1
    assert anatomy.head is not None and anatomy.head.path == "classifier"


def test_features_end_with_the_final_norm(build: Build) -> None:
    model = build("vit")
    anatomy = describe(model)
    seen: dict[str, torch.Tensor] = {}
    assert anatomy.final_norm is not None
    anatomy.final_norm.get().register_forward_hook(lambda module, args, out: seen.update(out=out))
    with torch.no_grad():
        features = model.base_model(torch.randn(2, 3, 16, 16)).last_hidden_state
    assert torch.equal(seen["out"], features) and features.shape == (2, 5, anatomy.width)


def test_a_bare_model_has_no_head(build: Build) -> None:
    assert describe(build("vit").base_model).head is None


def deit(kind: str) -> nn.Module:
    config = transformers.DeiTConfig(
        hidden_size=32,
        intermediate_size=50,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=16,
        patch_size=8,
        num_labels=3,
    )
    return getattr(transformers, kind)(config).eval()


@pytest.mark.parametrize(
    ("kind", "heads"),
    [
        ("DeiTModel", []),
        ("DeiTForImageClassification", ["classifier"]),
        ("DeiTForImageClassificationWithTeacher", ["cls_classifier", "distillation_classifier"]),
    ],
)
def test_every_head_of_a_deit(kind: str, heads: list[str]) -> None:
    anatomy = describe(deit(kind))
    assert [site.path for site in anatomy.heads] == heads
    assert anatomy.prefix_tokens == 2 and len(anatomy.blocks) == 2
