"""A small Llama as a GGUF file, written by the library of llama.cpp's authors."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.data.gguf_llama.conversion import TENSOR_NAMES

TOKENS = ["<|end|>", *"abcdefgh", "ab", "cd", "abcd"]
MERGES = ["a b", "c d", "ab cd"]


@pytest.fixture(scope="session")
def tiny_model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(TOKENS),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    return LlamaForCausalLM(config)


@pytest.fixture(scope="session")
def tiny_gguf(tiny_model: LlamaForCausalLM, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As llama.cpp writes it: its names, q and k rows with rotary pairs side by side, one matrix in Q8_0."""
    from gguf import GGMLQuantizationType, GGUFWriter, quants

    file = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    writer = GGUFWriter(file, "llama")
    _write_metadata(writer)
    names = {ours: theirs for theirs, ours in TENSOR_NAMES.items()}
    for key, value in tiny_model.state_dict().items():
        block, ours = re.fullmatch(r"(?:model\.layers\.(\d+)\.)?(.+)\.weight", key).groups()
        name = names[ours]
        array = value.numpy()
        if name in ("attn_q", "attn_k"):
            rows, columns = array.shape
            count = {"attn_q": 4, "attn_k": 2}[name]
            array = array.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        array = np.ascontiguousarray(array)
        stored = f"blk.{block}.{name}.weight" if block else f"{name}.weight"
        if name == "ffn_up":
            kind = GGMLQuantizationType.Q8_0
            writer.add_tensor(stored, quants.quantize(array, kind), raw_dtype=kind)
        else:
            writer.add_tensor(stored, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def _write_metadata(writer) -> None:
    writer.add_vocab_size(len(TOKENS))
    writer.add_embedding_length(32)
    writer.add_feed_forward_length(64)
    writer.add_block_count(2)
    writer.add_context_length(128)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_rope_freq_base(10000.0)
    writer.add_rope_dimension_count(8)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(TOKENS)
    writer.add_token_types([3, *[1] * (len(TOKENS) - 1)])
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_unk_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_chat_template("{{ messages }}")
