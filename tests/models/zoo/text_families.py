"""Text families of transformers: tiny configurations, the classes made of each, and what is refused for it."""

import re
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
import transformers
from torch import Tensor, nn
from transformers import DynamicCache

from sparsebench.models.adapters import AdapterSet, BottleneckConfig, LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError

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
GPT2_SIZES = {"n_embd": 16, "n_inner": 22, "n_layer": 2, "n_head": 4, "vocab_size": 32, "n_positions": 40}
GPT2_SIZES |= {"resid_pdrop": 0.0, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
OPT_SIZES = SIZES | {"ffn_dim": 22, "max_position_embeddings": 40, "word_embed_proj_dim": 16, "pad_token_id": 1}
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
    "Llama": Family("LlamaConfig", DECODER),
    "Mistral": Family("MistralConfig", DECODER),
    "Qwen2": Family("Qwen2Config", DECODER),
    "Qwen3": Family("Qwen3Config", DECODER),
    "Bert": Family("BertConfig", ENCODER, ENCODER_HEADS, attention=OTHER_ATTENTION),
    "Roberta": Family("RobertaConfig", ENCODER, ENCODER_HEADS, attention=OTHER_ATTENTION),
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
    "Phi3": Family("Phi3Config", DECODER, attention=OTHER_ATTENTION),
    "Glm4": Family("Glm4Config", DECODER | HALF | {"attention_bias": True}, attention=OTHER_ATTENTION),
    "GPT2": Family(
        "GPT2Config", GPT2_SIZES, ("Model", "LMHeadModel", "ForSequenceClassification"), attention=OTHER_ATTENTION
    ),
    "OPT": Family("OPTConfig", OPT_SIZES, attention=OTHER_ATTENTION),
    "OPT, norms after": Family("OPTConfig", OPT_SIZES | {"do_layer_norm_before": False}, attention=OTHER_ATTENTION),
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
    "ModernBert": Family(
        "ModernBertConfig",
        ENCODER | {"global_attn_every_n_layers": 2, "local_attention": 4, "pad_token_id": 0},
        ENCODER_HEADS,
        prefix=NO_CACHE,
        attention=OTHER_ATTENTION,
    ),
    "T5": Family("T5Config", T5_SIZES, T5_CLASSES, prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "T5 v1.1": Family(
        "T5Config",
        T5_SIZES | {"feed_forward_proj": "gated-gelu", "tie_word_embeddings": False},
        T5_CLASSES,
        prefix=NO_CACHE,
        attention=OTHER_ATTENTION,
    ),
    "MT5": Family("MT5Config", T5_SIZES, T5_CLASSES[:3], prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "UMT5": Family("UMT5Config", T5_SIZES, T5_CLASSES[:3], prefix=NO_CACHE, attention=OTHER_ATTENTION),
}


MOE = DECODER | {"num_experts": 6, "num_experts_per_tok": 2, "moe_intermediate_size": 10}
LOCAL = DECODER | {"num_local_experts": 6, "num_experts_per_tok": 2, "intermediate_size": 10}
DENSE_FIRST = {"n_routed_experts": 6, "n_group": 2, "topk_group": 1, "first_k_dense_replace": 1, "n_shared_experts": 2}
LATENT = {
    "num_key_value_heads": 4,
    "q_lora_rank": 6,
    "kv_lora_rank": 5,
    "qk_rope_head_dim": 4,
    "qk_nope_head_dim": 3,
    "v_head_dim": 5,
}
GRANITE = LOCAL | {"residual_multiplier": 0.7, "embedding_multiplier": 2.0}
"""Their attention computes as Llama's, with other constants."""
MIXTURES = {
    "Mixtral": Family("MixtralConfig", LOCAL),
    "Olmoe": Family(
        "OlmoeConfig", MOE | {"intermediate_size": 10}, BODY_AND_HEADS[:2], attention="q_norm spans all heads"
    ),
    "FlexOlmo": Family(
        "FlexOlmoConfig", MOE | {"intermediate_size": 10}, BODY_AND_HEADS[:2], attention=OTHER_ATTENTION
    ),
    "Qwen2Moe": Family("Qwen2MoeConfig", MOE | {"shared_expert_intermediate_size": 14, "decoder_sparse_step": 1}),
    "Qwen3Moe": Family("Qwen3MoeConfig", MOE),
    "Glm4Moe": Family("Glm4MoeConfig", MOE | DENSE_FIRST | HALF, BODY_AND_HEADS[:2], attention=OTHER_ATTENTION),
    "Dots1": Family("Dots1Config", MOE | DENSE_FIRST, BODY_AND_HEADS[:2]),
    "DeepseekV2": Family(
        "DeepseekV2Config",
        MOE | DENSE_FIRST | LATENT | {"q_lora_rank": None, "topk_method": "group_limited_greedy"},
        prefix=NO_CACHE,
        attention=OTHER_ATTENTION,
    ),
    "DeepseekV3": Family("DeepseekV3Config", MOE | DENSE_FIRST | LATENT, prefix=NO_CACHE, attention=OTHER_ATTENTION),
    "GptOss": Family("GptOssConfig", LOCAL, attention=OTHER_ATTENTION),
    "GraniteMoe": Family("GraniteMoeConfig", GRANITE, BODY_AND_HEADS[:2]),
    "GraniteMoeShared": Family(
        "GraniteMoeSharedConfig", GRANITE | {"shared_intermediate_size": 14}, BODY_AND_HEADS[:2]
    ),
}


def rows(families: dict[str, Family]) -> list[tuple[str, str]]:
    """Family and class of each row of a table."""
    found = []
    for name, family in families.items():
        found += [(name, cls) for cls in family.names()]
    return found


@cache
def state(family: str, cls: str) -> dict[str, Tensor]:
    """Weights, norms and biases included, that are large enough for every one of them to matter."""
    model = empty(family, cls)
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.3
    return model.state_dict()


def empty(family: str, cls: str) -> nn.Module:
    row = (FAMILIES | MIXTURES)[family]
    config = getattr(transformers, row.config)(**row.sizes)
    model = getattr(transformers, cls)(config).double().eval()
    if family in MIXTURES:
        model.set_experts_implementation("eager")
    return model


def build(family: str, cls: str) -> nn.Module:
    """A tiny model in float64 and eval mode, the same at each call."""
    model = empty(family, cls)
    model.load_state_dict(state(family, cls))
    return model


def padded_inputs(model: Any) -> dict[str, Tensor]:
    """Two rows of 7 tokens (5 for a decoder that has an encoder), of which the second row ends in two of padding."""
    ids = torch.randint(3, 32, (2, 7), generator=torch.Generator().manual_seed(1))
    mask = torch.ones(2, 7, dtype=torch.int64)
    mask[1, 5:] = 0
    inputs = {"input_ids": ids, "attention_mask": mask}
    if hasattr(model.base_model, "decoder") and model.config.is_encoder_decoder:
        inputs |= {"decoder_input_ids": ids[:, 2:], "decoder_attention_mask": mask[:, 2:]}
    return inputs


@torch.no_grad()
def outputs(model: Any) -> Tensor:
    """Logits, or the last hidden states of a model without a head, of two rows of 7 tokens."""
    ids = torch.randint(3, 32, (2, 7), generator=torch.Generator().manual_seed(1))
    inputs = {"input_ids": ids}
    if hasattr(model.base_model, "decoder") and model.config.is_encoder_decoder:
        ids[:, -1] = 2
        if type(model).__name__.endswith(("Model", "ForConditionalGeneration")):
            inputs["decoder_input_ids"] = ids[:, :5].flip(1)
    result = model(**inputs)
    logits = getattr(result, "logits", None)
    if logits is None:
        return result.last_hidden_state
    return logits


@torch.no_grad()
def behind_a_cache(model: Any, prefixes: list[tuple[Tensor, Tensor]]) -> Tensor:
    """Logits of tokens at positions from 0 on, in front of which a cache of transformers has these keys and values."""
    cache = DynamicCache()
    for index, (keys, values) in enumerate(prefixes):
        cache.update(keys.expand(2, -1, -1, -1), values.expand(2, -1, -1, -1), index)
    ids = padded_inputs(model)["input_ids"]
    return model(input_ids=ids, cache=cache, position_ids=torch.arange(7).expand(2, -1)).logits


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-10)


def stir(adapters: AdapterSet, size: float = 0.1) -> None:
    """Add random values to all parameters of adapters."""
    generator = torch.Generator().manual_seed(2)
    for parameter in adapters.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * size


def check_adapters(model: Any) -> None:
    """Adapters change nothing at the start and something when moved, are counted, merge (LoRA), and leave no trace."""
    before = outputs(model)
    names = list(model.state_dict())
    lora = LoRAConfig(r=2, targets=("linears",), train_head=False)
    bottlenecks = [BottleneckConfig(r=3, placement=where, train_head=False) for where in ("houlsby", "parallel")]
    for config in (lora, *bottlenecks):
        if config is bottlenecks[1] and "OPT" in type(model).__name__:
            with pytest.raises(ModelError, match="calls the parts of its FFN one by one"):
                attach(model, config)
            continue
        dense = count_parameters(model).total
        adapters = attach(model, config)
        close(outputs(model), before)
        assert adapters.count() == count_parameters(model).total - dense > 0
        stir(adapters)
        adapted = outputs(model)
        assert (adapted - before).abs().max() > 1e-6
        if config is lora:
            check_reach(model, adapters)
            adapters.merge()
            close(outputs(model), adapted)
            adapters.unmerge()
        adapters.remove()
        close(outputs(model), before)
        assert list(model.state_dict()) == names


def check_reach(model: nn.Module, adapters: AdapterSet) -> None:
    """ "linears" leaves no matrix of a block out but routers', the gates of shared FFNs and T5's position biases."""
    adapted: set[int] = set()
    for _, layer in adapters.layers():
        adapted |= {id(parameter) for parameter in layer.get_base_layer().parameters()}
    for block in describe(model).blocks:
        for name, parameter in block.site.get().named_parameters():
            elsewhere = re.search(r"lora_|router|gate\.weight|expert_gate|attention_bias", name)
            assert parameter.ndim < 2 or elsewhere or id(parameter) in adapted, name
