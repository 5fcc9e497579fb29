"""Converted layers as a part of a model."""

from collections.abc import Callable

import pytest
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert
from sparsebench.models.moe.checkpoint.part import MoELayers


def test_what_is_described_is_built(build: Callable[[str], nn.Module]) -> None:
    part = MoELayers()
    config = MoEConfig(
        num_experts=5, num_shared=1, router="mlp", layers=(1,), attn=AttnMoEConfig(num_experts=2, top_k=1)
    )
    model = convert(build("llama"), config)
    described = part.describe(model)
    other = build("llama")
    assert not any(map(part.holds, other.modules()))
    part.build(other, described)
    assert part.describe(other) == described
    assert [type(module).__name__ for module in other.modules() if part.holds(module)] == ["AttentionMoE", "MoEFFN"]
    shapes = {name: value.shape for name, value in model.state_dict().items()}
    assert {name: value.shape for name, value in other.state_dict().items()} == shapes


def test_nothing_is_no_description(build: Callable[[str], nn.Module]) -> None:
    with pytest.raises(ModelError, match="does not say how it was converted"):
        MoELayers().build(build("llama"), {})
