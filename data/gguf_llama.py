"""Read a Llama-architecture GGUF file into plain tensors, a `transformers` config and a fast tokenizer.

Own and short, because the ways of `transformers` mark the model as quantised and then refuse to save it.
Layout of the tensors and keys: the GGUF specification and llama.cpp's conversion of Llama models.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from gguf import GGUFReader
    from transformers import LlamaConfig, PreTrainedTokenizerFast

_TENSOR_NAMES = {
    "token_embd": "model.embed_tokens",
    "output_norm": "model.norm",
    "output": "lm_head",
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
_CONTROL_TOKEN = 3  # llama.cpp's token type of `<|im_start|>` and its like


def open_gguf(file: Path) -> "GGUFReader":
    """A memory-mapped reader of ``file``."""
    from gguf import GGUFReader

    return GGUFReader(file)


def _value(reader: "GGUFReader", key: str) -> Any:
    field = reader.get_field(key)
    if field is None:
        raise ValueError(f"the GGUF file has no key {key!r}; is it a Llama-architecture model?")
    return field.contents()


def tensors(reader: "GGUFReader") -> "dict[str, torch.Tensor]":
    """All weights in fp32 under the names of `LlamaForCausalLM`, dequantised exactly.

    llama.cpp stores the rows of q and k so that the two halves of each rotary pair are neighbours; undone here.
    """
    import torch
    from gguf import dequantize

    heads = {
        "attn_q": _value(reader, "llama.attention.head_count"),
        "attn_k": _value(reader, "llama.attention.head_count_kv"),
    }
    state = {}
    for tensor in reader.tensors:
        block, kind = re.fullmatch(r"(?:blk\.(\d+)\.)?(\w+)\.weight", tensor.name).groups()  # type: ignore[union-attr]
        weight = torch.from_numpy(dequantize(tensor.data, tensor.tensor_type).copy())
        if kind in heads:
            rows, columns = weight.shape
            weight = weight.view(heads[kind], rows // heads[kind] // 2, 2, columns).transpose(1, 2)
            weight = weight.reshape(rows, columns).contiguous()
        prefix = f"model.layers.{block}." if block else ""
        state[f"{prefix}{_TENSOR_NAMES[kind]}.weight"] = weight
    return state


def config(reader: "GGUFReader") -> "LlamaConfig":
    """The model's `LlamaConfig`; input and output embeddings are tied when the file has no output matrix."""
    from transformers import LlamaConfig

    def value(key: str) -> Any:
        return _value(reader, f"llama.{key}")

    return LlamaConfig(
        architectures=["LlamaForCausalLM"],
        dtype="float32",
        vocab_size=value("vocab_size"),
        hidden_size=value("embedding_length"),
        intermediate_size=value("feed_forward_length"),
        num_hidden_layers=value("block_count"),
        num_attention_heads=value("attention.head_count"),
        num_key_value_heads=value("attention.head_count_kv"),
        max_position_embeddings=value("context_length"),
        rms_norm_eps=round(value("attention.layer_norm_rms_epsilon"), 12),  # stored as fp32
        rope_parameters={"rope_type": "default", "rope_theta": value("rope.freq_base")},
        tie_word_embeddings=not any(tensor.name == "output.weight" for tensor in reader.tensors),
        bos_token_id=_value(reader, "tokenizer.ggml.bos_token_id"),
        eos_token_id=_value(reader, "tokenizer.ggml.eos_token_id"),
        pad_token_id=_value(reader, "tokenizer.ggml.padding_token_id"),
    )


def tokenizer(reader: "GGUFReader") -> "PreTrainedTokenizerFast":
    """The byte-level BPE tokenizer with single digits (pre-tokenizer ``smollm``) and the chat template."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    if _value(reader, "tokenizer.ggml.pre") != "smollm":
        raise ValueError(f"unknown pre-tokenizer {_value(reader, 'tokenizer.ggml.pre')!r}; only 'smollm' is known")
    vocabulary = _value(reader, "tokenizer.ggml.tokens")
    merges = [tuple(merge.split(" ")) for merge in _value(reader, "tokenizer.ggml.merges")]
    bpe = Tokenizer(models.BPE({token: index for index, token in enumerate(vocabulary)}, merges))
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    kinds = _value(reader, "tokenizer.ggml.token_type")
    special = [t for t, kind in zip(vocabulary, kinds, strict=True) if kind == _CONTROL_TOKEN]
    bpe.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in special])
    names = {"bos_token": "bos", "eos_token": "eos", "unk_token": "unknown", "pad_token": "padding"}
    named = {name: vocabulary[_value(reader, f"tokenizer.ggml.{key}_token_id")] for name, key in names.items()}
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        chat_template=_value(reader, "tokenizer.chat_template"),
        model_max_length=_value(reader, "llama.context_length"),
        clean_up_tokenization_spaces=False,
        **named,
    )
