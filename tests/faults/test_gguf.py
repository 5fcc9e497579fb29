"""Mutated GGUF files: a whole, finite model that fits its own configuration, or one line that names what is wrong."""

import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from sparsebench.data.errors import DataError
from sparsebench.data.gguf_llama import config, read_head, tensors, tokenizer

from ..data.gguf_llama.conftest import tiny_gguf, tiny_model  # noqa: F401 -- fixtures
from .draws import SilentlyWrongError, Tally, number
from .mutations import change_bytes


def test_heads(tiny_gguf: Path, tmp_path: Path, record_property: Callable) -> None:  # noqa: F811
    """Changes before the first tensor: its numbers of everything, keys, values, names, shapes, places."""
    original = tiny_gguf.read_bytes()
    head = read_head(tiny_gguf)
    reach = min(info.start for info in head.tensors.values())
    known = tensors(head), config(head).to_dict()
    tally = Tally("GGUF, heads")
    file = tmp_path / "x.gguf"
    for draw in range(number(120, 1500)):
        file.write_bytes(change_bytes(original, random.Random(draw), reach))
        tally.judge(draw, partial(load, file, *known), (DataError,))
    tally.check(record_property)


def load(file: Path, state: dict[str, Tensor], settings: dict[str, Any]) -> None:
    head = read_head(file)
    found, about = tensors(head), config(head)
    tokens = tokenizer(head)
    with torch.device("meta"):
        wanted = LlamaForCausalLM(about).state_dict()
    if found.keys() != wanted.keys() - ({"lm_head.weight"} if about.tie_word_embeddings else set()):
        raise SilentlyWrongError(f"other tensors: {sorted(found.keys() ^ wanted.keys())}")
    for name, value in found.items():
        if value.shape != wanted[name].shape or not value.isfinite().all():
            raise SilentlyWrongError(f"{name} of {tuple(value.shape)} does not fit, or is not finite")
    if len(tokens) > about.vocab_size:
        raise SilentlyWrongError(f"{len(tokens)} tokens for {about.vocab_size} rows")
    if about.to_dict() == settings and any(not torch.equal(found[name], state[name]) for name in found):
        raise SilentlyWrongError("the same configuration, and other weights")
