"""The configuration of a changed model is the source's, and says more in a file."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from torch import nn
from transformers import LlamaConfig

from sparsebench.models.hub.configs import MODEL_TYPE, ChangedConfig, source_fields, unchanged
from sparsebench.models.moe import MoEConfig, convert


@pytest.fixture
def config(build: Callable[[str], nn.Module]) -> Any:
    model: Any = build("llama")
    return convert(model, MoEConfig(num_experts=4)).config


def test_in_memory_it_is_the_configuration_of_the_source(config: Any) -> None:
    assert isinstance(config, LlamaConfig) and isinstance(config, ChangedConfig)
    assert config.model_type == "llama" and config.hidden_size == 32
    assert list(config.sparsebench["parts"]["moe"]["blocks"]) == ["0", "1"]


def test_a_file_has_another_type_and_names_no_weights_that_exist(config: Any, tmp_path: Path) -> None:
    config.save_pretrained(tmp_path)
    fields = json.loads((tmp_path / "config.json").read_text())
    assert fields["model_type"] == MODEL_TYPE and fields["transformers_weights"].startswith("open_with")
    again = type(config).from_pretrained(tmp_path)
    assert type(again) is type(config) and not hasattr(again, "transformers_weights")
    assert again.to_dict() == config.to_dict() and again.model_type == "llama"
    assert type(config).from_dict(config.to_dict()).to_dict() == config.to_dict()
    assert config.to_dict()["model_type"] == "llama"  # by which PEFT knows what to adapt
    assert "sparsebench" in source_fields(fields) and source_fields({"a": 1}) == {"a": 1}


def test_copies(config: Any) -> None:
    assert pickle.loads(pickle.dumps(config)).to_dict() == config.to_dict()
    plain = unchanged(config)
    assert type(plain) is LlamaConfig and "sparsebench" not in plain.to_dict()
    assert plain.to_dict() == LlamaConfig.from_dict(plain.to_dict()).to_dict()
