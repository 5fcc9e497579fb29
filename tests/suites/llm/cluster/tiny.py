"""A recipe, a model and data small enough to run it all."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

SHAPE: dict[str, Any] = {
    "hidden_size": 32,
    "intermediate_size": 128,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 257,
}


def dense() -> LlamaConfig:
    tokenizer = byte_tokenizer()
    return LlamaConfig(**SHAPE, bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id)


def write_model(folder: Path) -> Path:
    torch.manual_seed(0)
    LlamaForCausalLM(dense()).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def write_texts(folder: Path) -> Path:
    for domain in ("news", "recipes"):
        (folder / domain).mkdir(parents=True)
        lines = [f"The {domain} of day {day} say {day * day}.\n" for day in range(400)]
        (folder / domain / "a.txt").write_text("".join(lines))
    return folder


def write_conversations(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for number in range(60):
        messages = [
            {"role": "user", "content": f"What is {number} + 1?" + " Please." * (number % 4)},
            {"role": "assistant", "content": f"It is {number + 1}."},
        ]
        lines.append(json.dumps({"messages": messages}) + "\n")
    (folder / "sums.jsonl").write_text("".join(lines))
    return folder


def recipe(gpus: int, data: str, preset: str, stages: int = 1, **changes: Any) -> dict[str, Any]:
    """Stages of three steps with two rows of 32 tokens."""
    stage = {
        "data": data,
        "rows": 2,
        "tokens": 3 * 2 * 32,
        "learning_rate": 1e-2,
        "schedule": "cosine_with_min_lr",
        "least_rate": 0.1,
        "warmup": 1,
        "betas": [0.9, 0.95],
    }
    content = {
        "caption": "tiny",
        "presets": [preset],
        "shape": SHAPE,
        "gpus": gpus,
        "gigabytes": 1,
        "length": 32,
        "micro_batch": 1,
        "stages": [stage | {"name": name} for name in ("first", "second")[:stages]],
    }
    return content | changes
