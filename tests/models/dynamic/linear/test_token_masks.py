"""Blocks hand their masks to the layers that count tokens, and to no others."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from sparsebench.models.anatomy import Wrapper
from sparsebench.models.dynamic import MixtureConfig, MixtureLinear, make_dynamic
from sparsebench.models.dynamic.linear.token_masks import HandOver, PassedMask, stop_handing_over
from sparsebench.models.errors import ModelError


def batch() -> dict[str, Tensor]:
    ids = torch.randint(3, 64, (2, 7), generator=torch.Generator().manual_seed(0))
    mask = torch.ones_like(ids)
    mask[0, 4:] = 0
    return {"input_ids": ids, "attention_mask": mask}


def seen_masks(model: Any, inputs: dict[str, Tensor]) -> list[Any]:
    """What every mixture was told at its call."""
    seen: list[Any] = []
    hooks = []
    for module in model.modules():
        if isinstance(module, MixtureLinear):
            hooks.append(module.register_forward_pre_hook(lambda layer, args: seen.append(layer.token_mask)))
    with torch.no_grad():
        model(**inputs)
    for hook in hooks:
        hook.remove()
    return seen


@pytest.mark.parametrize(
    ("settings", "training", "told"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"balance": "none"}, True, False),
        ({"level": "sentence", "balance": "none"}, False, True),
    ],
)
def test_who_is_told(settings: dict[str, Any], training: bool, told: bool, build: Callable[[str], Any]) -> None:
    model = make_dynamic(build("bert"), MixtureConfig(**settings)).train(training)
    inputs = batch()
    masks = seen_masks(model, inputs)
    assert len(masks) == 4
    for mask in masks:
        assert (mask is not None) is told
        if mask is not None:
            assert torch.equal(mask, inputs["attention_mask"].bool())


def test_copies_and_wrapped_layers_are_told(build: Callable[[str], Any]) -> None:
    class Through(Wrapper):
        def forward(self, x: Tensor) -> Tensor:
            return self.base_layer(x)

    model = copy.deepcopy(make_dynamic(build("bert"), MixtureConfig()))
    layer = model.bert.encoder.layer[0].intermediate
    layer.dense = Through(layer.dense)
    masks = seen_masks(model.train(), batch())
    assert len(masks) == 4
    assert all(mask is not None for mask in masks)


def test_hooks_go_again(build: Callable[[str], Any]) -> None:
    model = make_dynamic(build("bert"), MixtureConfig()).train()
    stop_handing_over(model)
    assert seen_masks(model, batch()) == [None] * 4
    for module in model.modules():
        assert not any(isinstance(hook, HandOver) for hook in module._forward_pre_hooks.values())


def test_a_mask_has_as_many_entries_as_tokens() -> None:
    passed = PassedMask()
    x = torch.zeros(2, 3, 5)
    assert passed.take(None, x) is None
    mask = torch.ones(2, 3, dtype=torch.bool)
    assert passed.take(mask, x) is mask
    with pytest.raises(ModelError, match=r"\(2, 4\) does not fit the 6 tokens"):
        passed.take(torch.ones(2, 4, dtype=torch.bool), x)
