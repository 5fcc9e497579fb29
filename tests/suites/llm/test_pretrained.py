"""Causal LMs from a folder or the hub."""

from typing import Any

import pytest
import torch

from sparsebench.suites.llm.backbones import hf
from sparsebench.suites.llm.language import CausalLM


def test_hf_loads_a_saved_folder_and_explains_what_is_missing(lm: CausalLM, tmp_path: Any) -> None:
    folder = tmp_path / "model"
    model: Any = lm.model
    model.save_pretrained(folder)
    lm.tokenizer.save_pretrained(folder)
    loaded = hf.load(torch.Generator(), str(folder))
    ids = torch.tensor([[1, 2, 3]])
    assert torch.equal(loaded.model(input_ids=ids).logits, model(input_ids=ids).logits)
    assert loaded.tokenizer("ab")["input_ids"] == lm.tokenizer("ab")["input_ids"]
    with pytest.raises(ValueError, match="hf:<folder>"):
        hf.load(torch.Generator())
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        hf.load(torch.Generator(), str(folder))
