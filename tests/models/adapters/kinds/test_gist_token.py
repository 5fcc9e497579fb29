"""The token of GIST: where it goes, how it starts, what it costs. Its logits: `test_token_distillation.py`."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
from torch import nn

from sparsebench.models.adapters import GistTokenConfig, attach, preset
from sparsebench.models.adapters.kinds.gist_token import GistTokenLayer, leaving_tokens
from sparsebench.models.errors import ModelError

Make = Callable[[str], nn.Module]


def test_one_token_through_all_blocks(make: Make, example: Callable) -> None:
    model: Any = make("timm_vit")
    adapters = attach(model, GistTokenConfig())
    seen: list[int] = []
    for block in model.blocks:
        block.base_layer.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape[1]))
    tokens = model.patch_embed.num_patches + 1
    model(example(model))
    assert seen == [tokens + 1] * len(model.blocks)
    (token,) = [layer.token for _, layer in adapters.layers() if layer.token is not None]
    assert token.shape == (1, model.embed_dim) and adapters.count() == model.embed_dim
    assert -0.5 <= token.min() < -0.4 and 0.4 < token.max() <= 0.5


def test_the_adapters_of_the_release_act_inside(make: Make, example: Callable) -> None:
    model: Any = make("timm_vit")
    attach(model, GistTokenConfig(), "token")
    attach(model, preset("idat_shared_parallel", faithful=True))
    with leaving_tokens(model) as tokens:
        model(example(model)).sum().backward()
    assert tokens[0].shape[1:] == (1, model.embed_dim)
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in trained)
    other = make("timm_vit")
    attach(other, preset("idat_shared_parallel"))
    with pytest.raises(ModelError, match="attach prompts before"):
        attach(other, GistTokenConfig(), "token")


def test_only_the_token_of_the_last_blocks(make: Make, example: Callable) -> None:
    model: Any = make("timm_vit")
    attach(model, GistTokenConfig(blocks=1))
    layers = [module for module in model.modules() if isinstance(module, GistTokenLayer)]
    assert len(layers) == 1 and layers[0] is model.blocks[-1]
    with leaving_tokens(model) as tokens:
        model(example(model))
    assert len(tokens) == 1


def test_watching_leaves_nothing_behind(make: Make, example: Callable) -> None:
    model: Any = make("timm_vit").train()
    attach(model, GistTokenConfig())
    with leaving_tokens(model) as tokens:
        model(example(model))
    model(example(model))
    assert len(tokens) == 1
    copy.deepcopy(model)


def test_other_models_and_other_lengths_are_refused(make: Make) -> None:
    with pytest.raises(ModelError, match="does not see an image as tokens"):
        attach(make("bert"), GistTokenConfig())
    with pytest.raises(ModelError, match="the token of GIST is one"):
        GistTokenConfig(length=2)
    with pytest.raises(ModelError, match="the token of GIST is one"):
        GistTokenConfig(depth="deep")
