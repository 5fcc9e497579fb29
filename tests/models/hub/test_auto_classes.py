"""Auto classes know every head of a changed model."""

import json
from collections.abc import Callable

import pytest
import transformers
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.hub.auto_classes import changed, changed_config, changed_config_class
from sparsebench.models.hub.models import ChangedModel, changed_class
from sparsebench.models.moe import MoEConfig, convert

HEADS = {
    "llama": ("AutoModelForCausalLM", "AutoModelForSequenceClassification", "AutoModelForTokenClassification"),
    "bert": ("AutoModelForMaskedLM", "AutoModelForSequenceClassification", "AutoModelForMultipleChoice"),
    "vit": ("AutoModel", "AutoModelForImageClassification"),
}


@pytest.mark.parametrize("family", HEADS)
def test_each_head_of_the_source_is_one_of_the_changed_model(family: str, build: Callable[[str], nn.Module]) -> None:
    model = build(family)
    config = convert(model, MoEConfig(num_experts=4)).config
    for name in HEADS[family]:
        auto = getattr(transformers, name)
        made = auto.from_config(config)
        assert isinstance(made, ChangedModel) and type(made) is changed_class(type(made).sparsebench_source)
        assert any(type(module).__name__ == "MoEFFN" for module in made.modules())
        assert all(parameter.isfinite().all() for parameter in made.parameters())


def test_a_configuration_is_changed_in_a_copy() -> None:
    config = transformers.LlamaConfig()
    made = changed(config)
    assert type(made) is changed_config_class(transformers.LlamaConfig) and type(config) is transformers.LlamaConfig
    assert made.sparsebench["source"] == {"model_type": "llama", "class": "LlamaConfig", "room": None}
    assert type(changed_config(**json.loads(made.to_json_string()))) is type(made)


def test_a_configuration_that_is_not_whole_is_refused() -> None:
    with pytest.raises(ModelError, match="does not say which model was changed"):
        changed_config(hidden_size=3)
    for source, message in (
        ({"model_type": "nosuchtype", "class": "A", "room": None}, "has no 'nosuchtype' models"),
        ({"model_type": "graphsgpt", "class": "Nothing", "room": "graphsgpt"}, "no Nothing in models/graphsgpt"),
    ):
        with pytest.raises(ModelError, match=message):
            changed_config(sparsebench={"source": source, "parts": {}, "buffers": {}})
