"""What a trimmed decoder can still do: come back from its files, and decode with a cache."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from ...zoo.text_families import close, outputs, padded_inputs

WAYS = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False}


def reopened(model: Any, folder: Path) -> Any:
    """The model as an Auto class reads what it wrote."""
    model.save_pretrained(folder)
    again = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64).eval()
    again.set_experts_implementation("eager")
    return again


def decodes_and_comes_back(model: Any, folder: Path) -> Any:
    """With a cache as without one; and from its files: weights of a stock class are then not aligned in memory, on
    which products depend in the last bit."""
    ids = padded_inputs(model)["input_ids"]
    tokens = model.generate(ids, **WAYS)
    assert torch.equal(tokens, model.generate(ids, use_cache=False, **WAYS))
    again = reopened(model, folder)
    state = model.state_dict()
    # Routers of DeepSeek are read in float32.
    torch.testing.assert_close(again.state_dict(), state, rtol=1e-7, atol=0, check_dtype=False)
    close(outputs(again), outputs(model))
    assert torch.equal(again.generate(ids, **WAYS), tokens)
    return again
