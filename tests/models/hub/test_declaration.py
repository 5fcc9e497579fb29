"""Converting a model gives it another class, and the way back its own."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, Vocabulary
from sparsebench.models.hub.models import ChangedModel
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert, to_dense
from sparsebench.models.moe.attention.convert_attention import attention_to_dense, convert_attention

Build = Callable[[str], nn.Module]
BOTH = MoEConfig(num_experts=4, attn=AttnMoEConfig(num_experts=2, top_k=1))


def test_there_and_back(build: Build, run: Callable[..., Tensor]) -> None:
    model: Any = build("llama")
    before = model.config
    cls = type(model)
    expected = run(model, torch.arange(3, 9)[None])
    convert(model, BOTH)
    assert isinstance(model, ChangedModel) and isinstance(model, cls) and isinstance(model.model, ChangedModel)
    assert model.config is model.model.config is model.model.layers[0].self_attn.dense_config
    assert type(before) is transformers.LlamaConfig and model.config is not before
    to_dense(model)
    assert type(model) is cls and type(model.model) is transformers.LlamaModel
    assert type(model.config) is transformers.LlamaConfig
    assert model.config is model.model.config is model.model.layers[0].self_attn.config
    assert torch.equal(run(model, torch.arange(3, 9)[None]), expected)


def test_attention_alone(build: Build) -> None:
    model = convert_attention(build("qwen3"), AttnMoEConfig(num_experts=2, top_k=1), layers=(1,))
    assert isinstance(model, ChangedModel)
    convert(model, MoEConfig(num_experts=4, layers=(0,)))
    assert model.config.sparsebench["parts"]["moe"].keys() == {"blocks", "attention"}
    assert list(model.config.sparsebench["parts"]["moe"]["blocks"]) == ["0"]
    attention_to_dense(model)
    assert isinstance(model, ChangedModel)  # for its feed-forward experts
    assert type(to_dense(model)) is transformers.Qwen3ForCausalLM


def test_a_failed_conversion_leaves_the_class(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object) -> None:
        raise MemoryError

    model: Any = build("llama")
    before = [type(module) for module in model.modules()]
    monkeypatch.setattr("sparsebench.models.moe.conversion.convert._swap", fail)
    with pytest.raises(MemoryError):
        convert(model, BOTH)
    assert [type(module) for module in model.modules()] == before, "the attention is put back, too"
    assert type(model.config) is transformers.LlamaConfig


def test_copies_and_outputs_of_inner_layers(build: Build) -> None:
    model: Any = convert(build("llama"), BOTH)
    batch = torch.arange(3, 9)[None]
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert type(other) is type(model) and torch.equal(other(batch).logits, model(batch).logits)
    assert len(model(batch, output_hidden_states=True).hidden_states) == 3


def test_models_of_others_keep_their_class() -> None:
    """One that nobody finds by a name; those of timm that have a name are in `test_timm_models.py`."""
    vit = timm.models.VisionTransformer(img_size=32, patch_size=16, embed_dim=32, depth=1, num_heads=4, num_classes=3)
    assert type(convert(vit, MoEConfig(num_experts=4))) is timm.models.VisionTransformer


def test_both_halves_of_graphsgpt_share_their_configuration() -> None:
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_words": 2}
    model: Any = convert(
        GraphsGPT(GraphsGPTConfig.of(Vocabulary.improved([(6, 0)]), **sizes)), MoEConfig(num_experts=4)
    )
    assert isinstance(model.encoder, ChangedModel) and model.encoder.config is model.config is model.decoder.config
    assert model.keep_words(1).encoder.config.num_words == 1
