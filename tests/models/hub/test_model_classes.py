"""Bases of checkpoints by name: of transformers, of timm, of rooms of ours, and of nobody."""

from typing import Any

import pytest
import timm
import torch
import transformers
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import Graph2Seq, GraphsGPTConfig, Vocabulary
from sparsebench.models.hub.model_classes import base_model, base_recipe, model_class

LLAMA = transformers.LlamaConfig(
    hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, vocab_size=32
)
SIZES: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_words": 2}


def test_a_model_of_transformers() -> None:
    recipe = base_recipe(transformers.LlamaForCausalLM(LLAMA))
    assert recipe == {"room": None, "class": "LlamaForCausalLM", "changed": False}
    assert model_class(recipe["room"], recipe["class"]) is transformers.LlamaForCausalLM
    assert base_model(recipe, LLAMA).config is LLAMA


def test_a_model_of_timm() -> None:
    recipe = base_recipe(timm.create_model("vit_tiny_patch16_224", num_classes=3))
    assert recipe == {"room": "timm", "class": "vit_tiny_patch16_224", "num_classes": 3}
    with torch.device("meta"):
        assert base_model(recipe, None).num_classes == 3


def test_a_model_of_a_room() -> None:
    config = GraphsGPTConfig.of(Vocabulary.improved([(6, 0), (8, 0)]), **SIZES)
    recipe = base_recipe(Graph2Seq(config))
    assert recipe == {"room": "graphsgpt", "class": "Graph2Seq", "changed": False}
    assert model_class(recipe["room"], recipe["class"]) is Graph2Seq
    assert type(base_model(recipe, config)) is Graph2Seq


def test_a_class_that_only_has_the_name_of_a_known_one_is_refused() -> None:
    named_alike = type("LlamaForCausalLM", (transformers.LlamaForCausalLM,), {})
    with pytest.raises(ModelError, match="no model of transformers or timm"):
        base_recipe(named_alike(LLAMA))
    with pytest.raises(ModelError, match="Linear is no model"):
        base_recipe(nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("room", "name"),
    [
        (None, "AutoTokenizer"),  # no model
        (None, "NoSuchModel"),
        ("graphsgpt", "Tokenizer"),  # no model either
        ("nosuchroom", "Graph2Seq"),
    ],
)
def test_names_of_anything_else_are_refused(room: str | None, name: str) -> None:
    with pytest.raises(ModelError, match=f"has no model '{name}'"):
        model_class(room, name)
