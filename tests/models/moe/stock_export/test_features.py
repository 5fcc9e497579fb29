from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.stock_export.features import (
    ACTIVATION,
    ATTENTION_BIAS,
    DENSE_BETWEEN,
    DENSE_FIRST,
    HEAD_WIDTH,
    MULTIPLIERS,
    POST_NORMS,
    QK_NORM,
    QKV_BIAS,
    SANDWICH,
    SHARED,
    SIGMOID,
    UNNORMALISED,
    WIDE_QK_NORM,
    WINDOW,
    scaled,
)
from sparsebench.models.moe.stock_export.source import Source

from ...foreign_engines.exports import CASES

Build = Callable[[str], nn.Module]
Make = Callable[..., Source]


@pytest.mark.parametrize(
    ("family", "fields", "features"),
    [
        ("llama", {}, set()),
        ("llama", {"num_shared": 1}, {SHARED}),
        ("llama", {"score": "sigmoid"}, {SIGMOID}),
        ("llama", {"score": "softmax_topk", "renorm": False}, {UNNORMALISED}),
        ("llama", {"score": "topk_softmax", "renorm": False}, set()),  # sums to 1 whatever `renorm` says
        ("llama", {"layers": (1,)}, {DENSE_FIRST}),
        ("llama", {"layers": (0,)}, {DENSE_BETWEEN}),
        ("mistral", {}, {WINDOW}),
        ("qwen2", {}, {QKV_BIAS}),
        ("qwen3", {}, {QK_NORM}),
    ],
)
def test_features(family: str, fields: dict, features: set[str], source: Make) -> None:
    assert source(family, **fields).features == features


def test_a_bias_of_all_attention_projections(build: Build) -> None:
    model = build("llama")
    for layer in model.model.layers:
        for name in ("q_proj", "k_proj", "v_proj", "o_proj"):
            getattr(layer.self_attn, name).bias = nn.Parameter(torch.zeros(getattr(layer.self_attn, name).out_features))
    assert Source.of(convert(model, MoEConfig())).features == {ATTENTION_BIAS}


def test_what_other_families_have() -> None:
    found = {name: Source.of(CASES[name].model()).features for name in FEATURES}
    assert found == FEATURES


FEATURES = {
    "Llama, GELU": {ACTIVATION},
    "Llama, wide heads": {HEAD_WIDTH},
    "Llama, rope scaling": {scaled("llama3")},
    "Phi-3, window": {WINDOW},
    "OLMo 2": {POST_NORMS, WIDE_QK_NORM},
    "Gemma": {MULTIPLIERS, ACTIVATION},
    "GLM-4": {SANDWICH, QKV_BIAS},
}
