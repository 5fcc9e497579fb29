from collections.abc import Callable

import torch
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
