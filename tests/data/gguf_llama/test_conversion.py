"""The weights of a GGUF file, and what is refused of them."""

import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaForCausalLM

from sparsebench.data.errors import DataError, WeightsError
from sparsebench.data.gguf_llama import config, read_head, tensors, tokenizer


def test_every_tensor_is_restored(tiny_model: LlamaForCausalLM, tiny_gguf: Path):
    found = tensors(read_head(tiny_gguf))
    wanted = tiny_model.state_dict()
    assert set(found) == set(wanted)
    for key, value in wanted.items():
        if "up_proj" in key:  # stored in eight bits
            torch.testing.assert_close(found[key], value, atol=1e-3, rtol=1e-2)
        else:
            assert torch.equal(found[key], value), key
    model = LlamaForCausalLM(config(read_head(tiny_gguf)))
    model.load_state_dict(found, strict=True)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", ["blk.1.attn_q.weight", "blk.0.ffn_up.weight", "output_norm.weight"])
def test_numbers_that_are_not_finite(tiny_gguf: Path, tmp_path: Path, name: str, number: float):
    """Audit R15: 27 of 2,200 damaged heads gave weights that were not finite. In Q8_0 it is the scale of a block."""
    content = bytearray(tiny_gguf.read_bytes())
    info = read_head(tiny_gguf).tensors[name]
    code = "<e" if "ffn_up" in name else "<f"
    struct.pack_into(code, content, info.start, number)
    (tmp_path / "bad.gguf").write_bytes(content)
    with pytest.raises(WeightsError, match=rf"^bad\.gguf: tensor '{name}' holds numbers that are not finite$"):
        tensors(read_head(tmp_path / "bad.gguf"))


def outcome(file: Path) -> dict[str, torch.Tensor] | None:
    """The whole model, or None for a `DataError`; any other exception fails the test."""
    try:
        head = read_head(file)
        state = tensors(head)
        made = config(head)
        tokenizer(head)
    except DataError as error:
        assert "\n" not in str(error) and str(error).startswith(file.name)
        return None
    with torch.device("meta"):
        model = LlamaForCausalLM(made)
    wanted = {name: tensor.shape for name, tensor in model.state_dict().items()}
    if made.tie_word_embeddings:
        wanted.pop("lm_head.weight")
    assert {name: tensor.shape for name, tensor in state.items()} == wanted
    assert all(tensor.isfinite().all() for tensor in state.values())
    return state


@settings(max_examples=400)
@given(st.data())
def test_mutated_heads_give_a_whole_model_or_one_line(tiny_gguf: Path, tmp_path_factory, data: st.DataObject):
    """Audit R15: 62 of 2,200 had missing or misshapen tensors and were taken."""
    content = bytearray(tiny_gguf.read_bytes())
    end = min(info.start for info in read_head(tiny_gguf).tensors.values())
    for _ in range(data.draw(st.integers(1, 3), label="changes")):
        place = data.draw(st.integers(0, end - 9), label="place")
        how = data.draw(st.sampled_from(["bit", "byte", "number", "cut out", "doubled"]), label="how")
        if how == "bit":
            content[place] ^= 1 << data.draw(st.integers(0, 7))
        elif how == "byte":
            content[place] = data.draw(st.integers(0, 255))
        elif how == "number":
            struct.pack_into("<Q", content, place, data.draw(st.sampled_from([0, 1, 2**20, 2**31, 2**63, 2**64 - 1])))
        elif how == "cut out":
            del content[place : place + data.draw(st.integers(1, 64))]
        else:
            content[place:place] = content[place : place + data.draw(st.integers(1, 64))]
    file = tmp_path_factory.getbasetemp() / "mutated.gguf"
    file.write_bytes(content)
    outcome(file)


@pytest.mark.parametrize("share", np.linspace(0, 0.999, 40))
def test_files_that_are_cut(tiny_gguf: Path, tmp_path: Path, share: float):
    content = tiny_gguf.read_bytes()
    (tmp_path / "cut.gguf").write_bytes(content[: int(len(content) * share)])
    assert outcome(tmp_path / "cut.gguf") is None


def test_the_whole_file_is_a_model(tiny_gguf: Path):
    assert outcome(tiny_gguf) is not None
