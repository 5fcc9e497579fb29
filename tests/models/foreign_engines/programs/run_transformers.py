"""Folders by plain transformers; compressed ones as well, where the package compressed-tensors is installed."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)


def answer(folder: Path, ids: list[int], new: int) -> list[dict[int, float]]:
    """Of each new token the log-probabilities of the likeliest ones."""
    model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    model.generation_config.eos_token_id = None  # which would be masked, or the end
    text = model.generate(torch.tensor([ids]), max_new_tokens=new, do_sample=False)
    with torch.no_grad():
        found = model(text).logits[0, len(ids) - 1 : -1].log_softmax(-1).topk(20)
    steps = zip(found.indices.tolist(), found.values.tolist(), strict=True)
    return [dict(zip(tokens, values, strict=True)) for tokens, values in steps]
