"""The reader of GGUF files."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.data import gguf_llama, weights


def write_gguf(file: Path, model: torch.nn.Module, heads: dict[str, int]) -> None:
    """Write a Llama as llama.cpp does: its names, and q and k rows with rotary pairs side by side."""
    from gguf import GGUFWriter

    names = {ours: theirs for theirs, ours in gguf_llama._TENSOR_NAMES.items()}
    writer = GGUFWriter(file, "llama")
    writer.add_head_count(heads["q"])
    writer.add_head_count_kv(heads["k"])
    for key, value in model.state_dict().items():
        block, ours = re.fullmatch(r"(?:model\.layers\.(\d+)\.)?(.+)\.weight", key).groups()
        name = names[ours]
        array = value.numpy()
        if name in ("attn_q", "attn_k"):
            rows, columns = array.shape
            count = heads[name[-1]]
            array = array.reshape(count, 2, rows // count // 2, columns).swapaxes(1, 2).reshape(rows, columns)
        writer.add_tensor(f"blk.{block}.{name}.weight" if block else f"{name}.weight", np.ascontiguousarray(array))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_gguf_reader_restores_every_tensor(tmp_path: Path):
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        tie_word_embeddings=False,
    )
    model = LlamaForCausalLM(config)
    write_gguf(tmp_path / "tiny.gguf", model, {"q": 4, "k": 2})
    found = gguf_llama.tensors(gguf_llama.open_gguf(tmp_path / "tiny.gguf"))
    wanted = model.state_dict()
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        assert torch.equal(found[key], value), key


@pytest.mark.data
def test_smollm2_tokenizer():
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(weights.smollm2())
    sample = "Héllo wörld 12345 don't   \n\n\tstop, 漢字 😀 I'll can’t  x2y3"
    ids = tokenizer(sample).input_ids
    assert tokenizer.decode(ids) == sample
    assert sum(tokenizer.decode([index]).isdigit() for index in ids) == 7  # one token per digit
    special = (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token, tokenizer.unk_token)
    assert special == ("<|im_start|>", "<|im_end|>", "<|im_end|>", "<|endoftext|>")
    chat = tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False)
    assert chat.endswith("<|im_start|>user\nhi<|im_end|>\n")
    assert tokenizer(chat).input_ids.count(tokenizer.eos_token_id) == 2  # control tokens are read as such
