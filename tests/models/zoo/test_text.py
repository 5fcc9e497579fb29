"""Every text family, one row for each class: what a transform does to it is exact, or is refused with a reason."""

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, LoRAConfig, PrefixConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.attention.convert_attention import convert_attention
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion import convert
from sparsebench.models.moe.restoration import to_dense

SIZES = {
    "hidden_size": 16,
    "intermediate_size": 22,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "vocab_size": 32,
}
DECODER = SIZES | {"num_key_value_heads": 2, "head_dim": 4, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
HALF = {"rope_parameters": {"rope_type": "default", "rope_theta": 1e4, "partial_rotary_factor": 0.5}}
SINGLE_HEADS = SIZES | {"pad_token_id": 0}
ENCODER = SIZES | {"max_position_embeddings": 40}
DISTILBERT = {"dim": 16, "hidden_dim": 22, "n_layers": 2, "n_heads": 4, "vocab_size": 32, "dropout": 0.0}
BODY_AND_HEADS = ("Model", "ForCausalLM", "ForSequenceClassification")
T5_SIZES = {"d_model": 16, "d_kv": 4, "d_ff": 22, "num_layers": 2, "num_heads": 4, "vocab_size": 32}
T5_SIZES |= {"dropout_rate": 0.0, "decoder_start_token_id": 0, "pad_token_id": 0, "eos_token_id": 2}
T5_CLASSES = (
    "Model",
    "ForConditionalGeneration",
    "EncoderModel",
    "ForSequenceClassification",
    "ForTokenClassification",
)
ENCODER_HEADS = ("Model", "ForMaskedLM", "ForSequenceClassification")


class Family(NamedTuple):
    """Configuration class and sizes of a family, and the classes of models that are made of it.

    `prefix`, `attention`: why no prefix, no mixture of attention heads can be made of it, part of the refusal.
    """

    config: str
    sizes: dict[str, Any]
    classes: tuple[str, ...] = BODY_AND_HEADS
    prefix: str = ""
    attention: str = ""

    def names(self) -> list[str]:
        """The classes by full name."""
        stem = self.config.removesuffix("Config").removesuffix("Text")
        return [stem + cls for cls in self.classes]


OTHER_ATTENTION = "attention experts need the causal attention"
NO_CACHE = "a prefix needs the attention of"
FAMILIES = {
    "Gemma": Family("GemmaConfig", DECODER),
    "Gemma2": Family("Gemma2Config", DECODER, attention=OTHER_ATTENTION),
    "Gemma3": Family(
        "Gemma3TextConfig",
        DECODER,
        ("TextModel", "ForCausalLM", "TextForSequenceClassification"),
        attention=OTHER_ATTENTION,
    ),
    "Olmo": Family("OlmoConfig", DECODER | {"clip_qkv": 0.5}, attention=OTHER_ATTENTION),
    "Olmo2": Family("Olmo2Config", DECODER, attention=OTHER_ATTENTION),
    "Olmo3": Family("Olmo3Config", DECODER, attention=OTHER_ATTENTION),
    "SmolLM3": Family("SmolLM3Config", DECODER | {"no_rope_layer_interval": 2}, attention=OTHER_ATTENTION),
    "StableLm": Family("StableLmConfig", DECODER | {"use_parallel_residual": True} | HALF, attention=OTHER_ATTENTION),
    "Granite": Family(
        "GraniteConfig",
        DECODER | {"attention_multiplier": 0.3, "residual_multiplier": 0.7, "embedding_multiplier": 2.0},
        ("Model", "ForCausalLM"),
    ),
    "GPTNeoX": Family("GPTNeoXConfig", SINGLE_HEADS, attention=OTHER_ATTENTION),
    "XLMRoberta": Family("XLMRobertaConfig", ENCODER, ENCODER_HEADS, attention=OTHER_ATTENTION),
    "Electra": Family(
        "ElectraConfig",
        ENCODER | {"embedding_size": 8},
        (*ENCODER_HEADS, "ForPreTraining"),
        attention=OTHER_ATTENTION,
    ),
    "MPNet": Family("MPNetConfig", ENCODER, ENCODER_HEADS, prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "DistilBert": Family("DistilBertConfig", DISTILBERT, ENCODER_HEADS, prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "T5": Family("T5Config", T5_SIZES, T5_CLASSES, prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "T5 v1.1": Family(
        "T5Config",
        T5_SIZES | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        T5_CLASSES,
        prefix=NO_CACHE,
        attention=OTHER_ATTENTION,
    ),
    "MT5": Family("MT5Config", T5_SIZES, T5_CLASSES, prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "UMT5": Family("UMT5Config", T5_SIZES, T5_CLASSES, prefix=NO_CACHE, attention=OTHER_ATTENTION),
}


def rows() -> Iterator[tuple[str, str]]:
    """Family and class."""
    for name, family in FAMILIES.items():
        for cls in family.names():
            yield name, cls


ROWS = tuple(rows())
IDS = tuple(f"{family}-{cls}" for family, cls in ROWS)
FIRSTS = tuple((name, family.names()[1]) for name, family in FAMILIES.items())
"""The class with a language head of each family: what does not depend on the head is checked there."""


@cache
def state(family: str, cls: str) -> dict[str, Tensor]:
    """Weights, norms and biases included, that are large enough for every one of them to matter."""
    model = empty(family, cls)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.3
    return model.state_dict()


def empty(family: str, cls: str) -> nn.Module:
    row = FAMILIES[family]
    config = getattr(transformers, row.config)(**row.sizes)
    return getattr(transformers, cls)(config).double().eval()


def build(family: str, cls: str) -> nn.Module:
    """A tiny model in float64 and eval mode, the same at each call."""
    model = empty(family, cls)
    model.load_state_dict(state(family, cls))
    return model


@torch.no_grad()
def outputs(model: nn.Module) -> Tensor:
    """Logits, or the last hidden states of a model without a head, of two rows of 7 tokens."""
    ids = torch.randint(3, 32, (2, 7), generator=torch.Generator().manual_seed(1))
    inputs = {"input_ids": ids}
    if getattr(model.config, "is_encoder_decoder", False):
        ids[:, -1] = 2
        if type(model).__name__.endswith(("Model", "ForConditionalGeneration")):
            inputs["decoder_input_ids"] = ids[:, :5].flip(1)
    result = model(**inputs)
    logits = getattr(result, "logits", None)
    if logits is None:
        return result.last_hidden_state
    return logits


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-10)


@pytest.mark.parametrize(("family", "cls"), ROWS, ids=IDS)
def test_conversion_with_all_experts_on_is_exact_and_goes_back(family: str, cls: str) -> None:
    model = build(family, cls)
    before = outputs(model)
    convert(model, MoEConfig(num_experts=4, top_k=3, num_shared=1, score="none", scale="exact"))
    assert any(type(module).__name__ == "MoEFFN" for module in model.modules())
    close(outputs(model), before)
    counts = count_parameters(model)
    assert counts.total == sum(parameter.numel() for parameter in model.parameters())
    to_dense(model)
    assert {name: value.tolist() for name, value in model.state_dict().items()} == {
        name: value.tolist() for name, value in state(family, cls).items()
    }


@pytest.mark.parametrize(("family", "cls"), ROWS, ids=IDS)
def test_fewer_experts_change_the_outputs_and_the_active_count(family: str, cls: str) -> None:
    """Each converted layer lies on the way to the output: the check above cannot pass by converting nothing."""
    model = build(family, cls)
    before = outputs(model)
    dense = count_parameters(model)
    assert dense.active == dense.total == sum(parameter.numel() for parameter in model.parameters())
    convert(model, MoEConfig(num_experts=4, top_k=1, layers=(1,)))
    assert (outputs(model) - before).abs().max() > 1e-6
    assert count_parameters(model).active < count_parameters(model).total


@pytest.mark.parametrize(("family", "cls"), ROWS, ids=IDS)
def test_adapters_are_exact_at_the_start_counted_and_mergeable(family: str, cls: str) -> None:
    model = build(family, cls)
    before = outputs(model)
    lora = LoRAConfig(r=2, targets=("linears",), train_head=False)
    for config in (lora, BottleneckConfig(r=3, placement="houlsby", train_head=False)):
        adapters = attach(model, config)
        close(outputs(model), before)
        generator = torch.Generator().manual_seed(2)
        numel = 0
        for parameter in adapters.parameters():
            parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.1
            numel += parameter.numel()
        assert numel == adapters.count()
        adapted = outputs(model)
        assert (adapted - before).abs().max() > 1e-6
        if isinstance(config, LoRAConfig):
            adapters.merge()
            close(outputs(model), adapted)
            adapters.unmerge()
        adapters.remove()
        close(outputs(model), before)


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=FAMILIES)
def test_every_linear_layer_of_a_block_is_in_its_view(family: str, cls: str) -> None:
    model = build(family, cls)
    for block in describe(model).blocks:
        found = {id(site.get()) for site in block.linears}
        there = {id(module) for module in block.site.get().modules() if isinstance(module, nn.Linear)}
        assert found == there
        norms = [module for name, module in block.site.get().named_children() if "norm" in name.lower()]
        assert {id(norm) for norm in norms} <= {id(site.get()) for site in block.norms}


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=FAMILIES)
def test_a_prefix_is_seen_and_goes_again_or_is_refused(family: str, cls: str) -> None:
    """A prefix whose keys score far below all others changes nothing; others do."""
    model = build(family, cls)
    before = outputs(model)
    reason = FAMILIES[family].prefix
    if reason:
        with pytest.raises(ModelError, match=reason):
            attach(model, PrefixConfig(length=3))
        return
    adapters = attach(model, PrefixConfig(length=3))
    assert (outputs(model) - before).abs().max() > 1e-6
    adapters.remove()
    close(outputs(model), before)


@pytest.mark.parametrize(("family", "cls"), FIRSTS, ids=FAMILIES)
def test_attention_experts_are_exact_or_refused(family: str, cls: str) -> None:
    model = build(family, cls)
    before = outputs(model)
    config = AttnMoEConfig(num_experts=2, top_k=2, router_init="zeros", scale=2.0)
    reason = FAMILIES[family].attention
    if reason:
        with pytest.raises(ModelError, match=reason):
            convert_attention(model, config)
        return
    convert_attention(model, config)
    close(outputs(model), before)


def test_fused_heads_have_no_span_for_each_of_q_k_v() -> None:
    model = build("GPTNeoX", "GPTNeoXForCausalLM")
    with pytest.raises(ModelError, match=r"query_key_value holds q, k and v head by head"):
        attach(model, LoRAConfig(r=2, targets=("q", "v")))
