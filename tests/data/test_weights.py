import re
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.data import gguf_llama, weights
from sparsebench.data.errors import DownloadError


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


def test_no_space_for_weights_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import safetensors.torch

    def full(*_, **__):
        raise safetensors.SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        weights._save({}, tmp_path)
    from sparsebench.data.cache import build_once

    with pytest.raises(DownloadError, match="no space left on the disk"):
        build_once(tmp_path / "derived", {"form": "1"}, lambda partial: weights._save({}, partial))


def test_unknown_efficientnet():
    with pytest.raises(ValueError, match="no EfficientNet-Lite3; sizes: 0, 1, 2"):
        weights.efficientnet_lite(3)


@pytest.mark.data
def test_smollm2_is_a_real_language_model():
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaForCausalLM

    folder = weights.smollm2()
    model = AutoModelForCausalLM.from_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    assert isinstance(model, LlamaForCausalLM) and model.dtype == torch.float32
    assert sum(parameter.numel() for parameter in model.parameters()) == 134_515_008
    prompt = tokenizer("The capital of France is", return_tensors="pt")
    assert prompt.input_ids[0, 0] == 504  # no token is put before the text
    answer = model.generate(**prompt, max_new_tokens=2, do_sample=False)[0, prompt.input_ids.shape[1] :]
    assert tokenizer.decode(answer) == " Paris."


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


@pytest.mark.data
@pytest.mark.parametrize(("size", "parameters"), [(0, 4_652_008), (1, 5_416_680), (2, 6_092_072)])
def test_efficientnet_lite_knows_a_bag(size: int, parameters: int):
    """Fashion-MNIST's bags, inverted to dark on light, are ImageNet's class 636 (mailbag) most often."""
    import timm
    from safetensors.torch import load_file

    from sparsebench.data.vision.fashion_mnist import fashion_mnist

    model = timm.create_model(f"tf_efficientnet_lite{size}").eval()
    model.load_state_dict(load_file(weights.efficientnet_lite(size)), strict=True)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
    images, labels = fashion_mnist().test
    bags = torch.from_numpy(images[labels == 8][:40]).permute(0, 3, 1, 2).float()
    bags = 1 - torch.nn.functional.interpolate(bags, size=(160, 160), mode="bicubic") / 127.5
    with torch.no_grad():
        logits = model(bags)
    assert logits.shape == (40, 1000) and logits.isfinite().all()
    assert logits.argmax(dim=1).mode().values == 636
